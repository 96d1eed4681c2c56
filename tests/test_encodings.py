"""Names in any script, whatever encoding a terminal or a system has: no command ends by them."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from proxy_train.recipe import Recipe
from results.commands.ends import ready_streams
from results.commands.terminal import Terminal
from results.text.fitting_table import Column, FittingTable
from search_space.errors import SettingsError
from tests.proxy_train.video_files import content
from tests.searcher.conftest import ROOT
from tests.searcher.invented import invented
from tests.searcher.searching import finished
from tests.test_house import FILES, FRONT_DOOR, nodes, relative

CLASSES = ("挥手", "падение", "été 🎉")
NETWORK = "stream_2x16x4_s8_w16s2-33e32-a_w16s2-33e32-a_h64x32"
# Each line is a command; what is printed of it goes to the streams that the program has.
_PROGRAM = """
import sys
import movinas
status = []
for line in sys.argv[1].split("\\n"):
    sys.argv = ["movinas", *line.split("\\t")]
    try:
        movinas.main()
    except SystemExit as ended:
        status.append(ended.code or 0)
sys.exit(max(status))
"""
TERMINALS = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    # As old clusters and cron have it: file names are ASCII as well.
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


def run(terminal: str, *commands: tuple[object, ...]) -> subprocess.CompletedProcess[bytes]:
    lines = "\n".join("\t".join(map(str, words)) for words in commands)
    unset = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, lines],
        env={
            **unset,
            **TERMINALS[terminal],
            "COLUMNS": "60",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        check=False,
        cwd=ROOT,
        timeout=500,
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of classes whose names few encodings have, in a folder of such a name."""
    root = tmp_path_factory.mktemp("videos") / "видео 视频"
    for split in ("train", "val"):
        for level, name in enumerate(CLASSES, 1):
            for number in range(3):
                path = root / split / name / f"{name} {number}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content(".mp4", level=60 * level))
    (root / "train" / CLASSES[0] / "сломано.mp4").write_bytes(b"no video")
    return root


@pytest.mark.parametrize(
    "terminal",
    ["ascii", pytest.param("latin-1", marks=pytest.mark.slow), pytest.param("C", marks=pytest.mark.slow)],
)
def test_videos_are_checked(terminal: str, videos: Path, tmp_path: Path) -> None:
    words = ("data", "check", "--data", videos, "--json", tmp_path / "found.json", "--cache", tmp_path)
    done = run(terminal, words)
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr
    # What a C locale has no letters for are bytes to it.
    assert (b"\\udce6\\udc8c\\udca5" if terminal == "C" else b"\\u6325\\u624b") in done.stdout
    assert len(json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["broken"]) == 1


@pytest.mark.slow
def test_a_network_is_trained_exported_and_streamed_where_paths_are_no_text(
    videos: Path, tmp_path: Path
) -> None:
    out, film = tmp_path / "сеть 网络", videos / "val" / CLASSES[0] / f"{CLASSES[0]} 0.mp4"
    done = run(
        "C",
        ("train", NETWORK, "--data", videos, "--epochs", 1, "--output", out, "--cache", tmp_path / "cache"),
        ("export", out, film, "--runtime", "onnxruntime", "--runtime", "torch.export"),
        ("stream", out, film, "--top", 3, "--output", tmp_path / "out.mp4"),
        ("stream", out / "step.pt2", film),
        ("stream", out / "step.onnx", film, "--json"),
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(list(container.decode(video=0))) == 4
    *_, last = done.stdout.splitlines()
    named = {name.encode().decode("ascii", "surrogateescape") for name in CLASSES}
    assert {each["label"] for each in json.loads(last)["top"]} == named


@pytest.mark.parametrize("terminal", ["C", pytest.param("ascii", marks=pytest.mark.slow)])
def test_a_run_is_shown_and_drawn(terminal: str, tmp_path: Path) -> None:
    runs = tmp_path / "поиски 搜索 🎉"
    finished(runs, invented(timed=True))
    folder = runs / "tiny"
    done = run(
        terminal,
        ("status", folder),
        ("frontier", folder),
        ("report", folder, "--output", tmp_path / "страница" / "页.html"),
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and b"not drawn" not in done.stdout
    assert (tmp_path / "страница" / "页.html").is_file() and (folder / "trials.parquet").is_file()
    assert (folder / "frontier.png").is_file() and b"Frontier" in done.stdout
    table = [line for line in done.stdout.splitlines() if b"multiply-adds" in line]
    assert table and all(len(line) <= 60 for line in table)


@pytest.mark.parametrize(
    ("encoding", "rule", "note"),
    [
        ("ascii", "-", "81.3 +- 0.4 % - \\u043f"),
        ("latin-1", "-", "81.3 ± 0.4 % - \\u043f"),
        ("utf-8", "─", "81.3 ± 0.4 % – п"),
    ],
)
def test_rules_and_signs_are_drawn_with_what_a_terminal_has(
    encoding: str, rule: str, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding, write_through=True))
    ready_streams()
    table = FittingTable("Title", [Column("operator", right=False)], notes=["81.3 ± 0.4 % – п"])
    table.add_row("conv")
    Terminal().say(table)
    lines = written.getvalue().decode(encoding).split("\n")
    assert lines == ["Title", "", "operator", 8 * rule, "conv", "", note, ""]


def test_a_warning_is_one_line_whatever_a_name_holds() -> None:
    ready_streams()
    record = logging.LogRecord("movinas", logging.WARNING, "", 0, "left out %s", ("a\nb\x1b\udcff",), None)
    assert logging.lastResort is not None
    assert logging.lastResort.format(record) == r"left out a\nb\x1b\udcff"


def test_a_recipe_is_read_in_the_encoding_that_it_is_written_in(tmp_path: Path) -> None:
    path = tmp_path / "рецепт.yaml"
    path.write_text("# обучение 训练\nbatch_size: 3\n", encoding="utf-8")
    assert Recipe.from_yaml(path).batch_size == 3
    path.write_text("# gr\u00fc\u00df\nbatch_size: 3\n", encoding="latin-1")
    with pytest.raises(SettingsError, match="not UTF-8"):
        Recipe.from_yaml(path)


def _opens_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text, and leaves it to the system how."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    words = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in words or "errors" in words:
        return False
    if name == "read_text":
        return owner is not None and not call.args
    if name == "write_text":
        return owner is not None and len(call.args) == 1
    if name == "open":
        modes = {each.value for each in call.args if isinstance(each, ast.Constant)} & set("rwax")
        return owner is None or (bool(modes) and ast.unparse(owner) != "av")
    return ast.unparse(words.get("text", ast.Constant(False))) == "True"


@pytest.mark.parametrize("path", [*FILES, FRONT_DOOR], ids=relative)
def test_text_is_never_read_or_written_in_the_encoding_of_the_system(path: Path) -> None:
    calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
    assert [call.lineno for call in calls if _opens_text(call)] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", True),
        ("path.write_text('x')", True),
        ("path.open('a')", True),
        ("open(path)", True),
        ("subprocess.run(x, text=True)", True),
        ("path.read_text(encoding='utf-8')", False),
        ("write_text(path, 'x')", False),
        ("path.open('rb')", False),
        ("av.open(path, 'w')", False),
        ("draw(text=words)", False),
        ("subprocess.run(x, text=True, errors='replace')", False),
    ],
)
def test_the_reader_of_calls_sees_every_form(source: str, found: bool) -> None:
    (call,) = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    assert _opens_text(call) == found
