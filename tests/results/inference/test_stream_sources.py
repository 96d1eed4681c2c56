"""The stream command over pipes and addresses: what it prints, how it ends, and what it keeps to itself."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import movinas
from proxy_train.video import live_source
from results.export.export import export_network
from results.member import write_member
from tests.proxy_train.video.servers import Answer, free_port, web_server, write_film
from tests.results.synthetic import LABELS, clip, network
from tests.searcher.conftest import ROOT


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member's exported step."""
    folder = tmp_path_factory.mktemp("family") / "A4"
    write_member(folder, "A4", network(1), recipe_yaml="", labels=LABELS, metrics={})
    export_network(network(1), folder, clip(), name="A4", labels=LABELS)
    return folder / "step.onnx"


def streamed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str | Path
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["movinas", "stream", *map(str, words), "--json"])
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "movinas", "stream", *map(str, words)]


def results(lines: str) -> list[tuple[int, object]]:
    """What the lines say of the video, but for times and memory."""
    return [(line["frame"], line["top"]) for line in map(json.loads, lines.splitlines())]


@pytest.mark.parametrize("kind", ["mpegts", "matroska"])
def test_a_pipe_gives_what_the_file_gives(
    step: Path, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    film = write_film(tmp_path / "film", kind=kind)
    status, of_file, _ = streamed(monkeypatch, capsys, step, film)
    assert status == 0 and len(of_file.splitlines()) == 24
    piped = subprocess.run(
        command(step, "-", "--json"),
        check=False,
        input=film.read_bytes(),
        capture_output=True,
        cwd=ROOT,
        timeout=300,
    )
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert results(piped.stdout.decode()) == results(of_file)


def test_a_pipe_of_no_video_is_refused(step: Path) -> None:
    piped = subprocess.run(
        command(step, "-"), check=False, input=b"no video " * 999, capture_output=True, cwd=ROOT, timeout=300
    )
    assert piped.returncode == 2 and piped.stdout == b""
    assert piped.stderr.startswith(b"movinas: standard input cannot be read: ") and b"remedy" in piped.stderr


@pytest.mark.parametrize("where", ["pipe", "network"])
def test_a_source_that_says_nothing_can_be_interrupted(step: Path, where: str) -> None:
    port = free_port()
    source = "-" if where == "pipe" else f"tcp://127.0.0.1:{port}?listen=1"
    process = subprocess.Popen(
        command(step, source), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    caller = socket.socket()
    if where == "network":
        while caller.connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
            caller.close()
            caller = socket.socket()
    else:
        # More than a pipe holds, so that it is written only once it is being read.
        assert process.stdin is not None
        process.stdin.write(b"\x47" + bytes(1 << 17))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    caller.close()
    assert (process.returncode, errors) == (130, b"\nmovinas: interrupted\n")


def test_an_address_keeps_its_secrets(
    step: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(live_source, "PAUSES", (0.0,))
    body = write_film(tmp_path / "film.ts", kind="mpegts").read_bytes()
    found = []
    for answers in ([Answer(body, len(body))], [Answer(body), Answer(status=401)], [Answer(status=401)]):
        with web_server(answers) as port:
            url = f"http://user:hidden@127.0.0.1:{port}/film.ts?token=hidden"
            words = (step, url, "--output", tmp_path / "seen.mp4")
            status, out, err = streamed(monkeypatch, capsys, *words)
        found.append((status, len(out.splitlines())))
        assert "hidden" not in out + err + caplog.text
    assert found == [(0, 24), (0, 24), (2, 0)]
    assert "film.ts is over after 3.00 s" in caplog.text and "film.ts cannot be read: " in err
    assert b"hidden" not in (tmp_path / "seen.mp4").read_bytes()
