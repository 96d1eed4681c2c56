"""The documentation says what is so: its Python runs, its commands and settings are accepted, its links lead
somewhere."""

from __future__ import annotations

import ast
import gzip
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import movinas
from results.export.export import export_network
from results.member import write_member
from search_space import SearchSpace
from searcher import Records, Settings, load_settings
from searcher.strategies import registry
from tests.proxy_train.video_files import write_videos
from tests.results.synthetic import LABELS, SIZE, clip, network

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
PAGES = sorted(PAGES, key=str)
FACES = ("movinas", "search_space", "proxy_train", "searcher", "results")
# The one public module that imports pytest, which a face must not.
TESTING = {"searcher.testing.strategy_contract": {"StrategyContract"}}
LANGUAGES = {"python", "yaml", "text", "json"}


@dataclass(frozen=True)
class Block:
    """A fenced or an indented block of a page.

    Args:
        language: language of a fenced block; ``shell`` for an indented one.
        title: name of the file that the block is to be saved as; empty if it has none.
        text: content of the block.
        line: number of its first line in the page.
    """

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        start = number
        if lines[number].startswith("```"):
            language, _, rest = lines[number].removeprefix("```").partition(" ")
            title = re.fullmatch(r'(?:title="(.*)")?', rest)
            assert title is not None, f"{page}:{number + 1}: what is {rest!r}?"
            number = lines.index("```", start + 1)
            yield Block(language, title[1] or "", "\n".join(lines[start + 1 : number]), start + 2)
        elif lines[number].startswith("    ") and (start == 0 or not lines[start - 1].strip()):
            while number < len(lines) and (lines[number].startswith("    ") or not lines[number].strip()):
                number += 1
            yield Block("shell", "", "\n".join(line[4:] for line in lines[start:number]), start + 1)
            continue
        number += 1


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def with_blocks(language: str) -> list[Path]:
    """Return the pages that have blocks of a language."""
    pages = [page for page in PAGES if any(block.language == language for block in blocks(page))]
    assert pages
    return pages


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages take for granted: a recorded run, a trained member, its export, videos."""
    folder = tmp_path_factory.mktemp("workplace")
    run = folder / "runs" / "quickstart"
    run.mkdir(parents=True)
    recorded = ROOT / "tests" / "searcher" / "recorded" / "predictor"
    (run / "record.journal").write_bytes(gzip.decompress((recorded / "record.journal.gz").read_bytes()))
    confirm(run, load_settings(recorded / "settings.yaml"))
    member = run / "family" / "A2"
    model = network()
    metrics = {"top1": 0.5}
    write_member(member, "A2", model, recipe_yaml="{}\n", labels=LABELS, metrics=metrics)
    exported = export_network(model, member, clip(), name="A2", labels=LABELS)
    assert exported.passed, exported.reason
    shutil.copytree(member, folder / "runs" / "actions" / "family" / "phone")
    for name in ("step.onnx", "step.onnx.json"):
        shutil.copy(member / name, folder / name)
    for label in LABELS:
        names = [f"{split}/{label}/{n}.mp4" for split in ("train", "val", "test") for n in range(2)]
        write_videos(folder / "videos", *names, frames=8, fps=8)
    return folder


def confirm(run: Path, settings: Settings) -> None:
    """Add to a recorded search what a confirmation of its longest trainings might have measured."""
    with Records.writing(run, settings.identity()) as records:
        last = max(measurement.fidelity.epochs for measurement in records.measurements())
        for measurement in records.measurements():
            if measurement.fidelity.epochs == last:
                longer = replace(measurement.fidelity, epochs=settings.confirmation.epochs)
                for seed in (1, 2):
                    top1 = measurement.metrics["top1"] + 0.01 * seed
                    records.append(
                        replace(
                            measurement,
                            fidelity=longer,
                            seed=seed,
                            purpose="confirmation",
                            metrics={**measurement.metrics, "top1": top1},
                        )
                    )


def test_blocks_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('# a\n\n    movinas x\n\n    movinas y\n\n```python title="a.py"\nb\n```\n\n- c\n    d\n')
    assert [(block.language, block.title, block.text.strip(), block.line) for block in blocks(page)] == [
        ("shell", "", "movinas x\n\nmovinas y", 3),
        ("python", "a.py", "b", 8),
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_fenced_block_says_what_it_is(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {*LANGUAGES, "shell"}


@pytest.mark.parametrize("page", with_blocks("python"), ids=name_of)
def test_snippets_import_public_names_only(page: Path) -> None:
    imported = 0
    for block in blocks(page):
        for node in ast.walk(ast.parse(block.text)) if block.language == "python" else ():
            if isinstance(node, ast.Import):
                modules = {alias.name for alias in node.names if alias.name.split(".")[0] in FACES}
                assert modules <= set(FACES), f"line {block.line}"
                imported += len(modules)
            elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in FACES:
                module = str(node.module)
                public = TESTING.get(module) or set(import_module(module).__all__)
                assert module in FACES or module in TESTING, f"line {block.line}: {module}"
                assert {alias.name for alias in node.names} <= public, f"line {block.line}"
                imported += 1
    assert imported


@pytest.mark.parametrize("page", with_blocks("python"), ids=name_of)
def test_snippets_run(page: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setattr(registry, "_REGISTERED", {})
    before = set(sys.modules)
    # What the pages leave to the reader: a video's frames, (height, width, 3), uint8, RGB.
    names: dict[str, Any] = {"__name__": "snippets", "frames": list(clip(4, SIZE, SIZE))}
    for block in blocks(page):
        if block.language != "python":
            continue
        if block.title:
            (workplace / block.title).write_text(block.text + "\n")
        if not block.title.startswith("test_"):
            # Lines keep the numbers that they have in the page.
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
    for module in set(sys.modules) - before:
        if str(workplace) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


def test_the_tests_in_snippets_pass(workplace: Path) -> None:
    files = [
        (block.title, block.text)
        for page in PAGES
        for block in blocks(page)
        if block.language == "python" and block.title
    ]
    for title, text in files:
        (workplace / title).write_text(text + "\n")
    tests = [title for title, _ in files if title.startswith("test_")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environment = {"PYTHONPATH": f"{ROOT}:.", "PATH": "", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command, check=False, cwd=workplace, env=environment, capture_output=True, text=True
    )
    assert tests and re.search(r"^\d+ passed", ended.stdout, re.MULTILINE), ended.stdout + ended.stderr


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the commands of a page's shell blocks with their lines, without variables set before them."""
    for block in blocks(page):
        if block.language != "shell":
            continue
        joined = re.sub(r"\\\n\s*", " ", block.text)
        for number, line in enumerate(joined.splitlines()):
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words.pop(0)
            if words:
                yield block.line + number, words


def parse(words: list[str]) -> None:
    """Parse a command of movinas as the command line does; raise if it would refuse it."""
    command: Any = typer.main.get_command(movinas.app)
    name, *rest = words
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name, rest = rest[0], rest[1:]
        command = command.commands[name]
    if rest != ["--help"]:
        assert not hasattr(command, "commands"), f"{name} is not a command"
        command.make_context(name, rest)


@pytest.mark.parametrize("page", with_blocks("shell"), ids=name_of)
def test_commands_are_accepted(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = 0
    for line, words in commands(page):
        place = f"{name_of(page)}:{line}: {shlex.join(words)}"
        if words[0] == "movinas":
            try:
                parse(words)
            except (Exception, SystemExit) as error:
                raise AssertionError(place) from error
        elif words[0] == "make":
            assert set(words[1:]) <= targets, place
        elif words[:2] == ["python", "-m"]:
            assert (ROOT / f"{words[2].replace('.', '/')}.py").is_file(), place
        elif words[0] == "sbatch":
            assert (ROOT / words[1]).is_file(), place
        elif words[0] == "pip":
            extras = re.search(r"\[(.*)\]", words[-1])
            assert not extras or set(extras[1].split(",")) <= extras_of_the_project(), place
        else:
            assert words[0] in {".", "pytest"}, place
        known += 1
    assert known


def extras_of_the_project() -> set[str]:
    """Return the names of the optional dependencies."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_what_is_named_in_passing_exists(page: Path) -> None:
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        if code.startswith("movinas "):
            words = shlex.split(code)
            group: Any = typer.main.get_command(movinas.app)
            for word in words[1:]:
                if hasattr(group, "commands"):
                    assert word in group.commands, code
                    group = group.commands[word]
                elif word.startswith("--"):
                    options = {option for p in group.params for option in (*p.opts, *p.secondary_opts)}
                    assert word in options | {"--help"}, code
        elif match := re.fullmatch(r"pip install .*\[(\w+)\]'", code):
            assert match[1] in extras_of_the_project(), code
        elif match := re.match(r"(?:OMP_NUM_THREADS=1 )?python -m (benchmarks\.\w+)", code):
            place = ROOT / match[1].replace(".", "/")
            assert any(path.is_file() for path in (place.with_suffix(".py"), place / "__main__.py")), code
        elif re.fullmatch(rf"({'|'.join(FACES)}|benchmarks|tests)(\.\w+)+(\(.*\))?", code):
            assert exists(code.partition("(")[0]), code
        elif re.fullmatch(r"(search_space|proxy_train|searcher|tests|benchmarks|deploy|docs)/[\w/.-]*", code):
            assert (ROOT / code).exists(), code


def exists(name: str) -> bool:
    """Tell whether a dotted name is one of a file, a module, or a value of a module."""
    parts = name.split(".")
    if (ROOT / name).exists():
        return True
    module, value = import_module(parts[0]), None
    for number, part in enumerate(parts[1:], start=1):
        path = ROOT.joinpath(*parts[: number + 1])
        if path.is_dir() or path.with_suffix(".py").is_file():
            module = import_module(".".join(parts[: number + 1]))
        else:
            value = getattr(module if value is None else value, part, None)
            if value is None:
                return False
    return True


@pytest.mark.parametrize("page", with_blocks("yaml"), ids=name_of)
def test_settings_are_accepted(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language != "yaml":
            continue
        content = yaml.safe_load(block.text)
        if "stages" in content:
            SearchSpace.from_dict(content, f"{name_of(page)}:{block.line}")
            continue
        path = tmp_path / "settings.yaml"
        path.write_text(block.text)
        load_settings(path)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the site makes them."""
    headings = re.findall(r"(?m)^#+ (.*)$", prose(page))
    words = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", word) for word in words}


def navigation() -> list[str]:
    """Return the pages that the site's navigation names."""

    def leaves(entry: object) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        for inner in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
            yield from leaves(inner)

    return list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))


def test_the_site_has_every_page() -> None:
    written = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    pages = navigation()
    assert len(pages) == len(set(pages))
    made = {page for page in pages if page not in written}
    assert written <= set(pages)
    assert made == {
        "contributing.md",
        "changelog.md",
        "reference/command_line.md",
        "reference/settings.md",
        *(f"reference/{face}.md" for face in FACES),
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if file.parent.name == "reference" and f"reference/{file.name}" in navigation():
            continue
        assert file.exists() and file.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(file), target


def test_the_table_of_published_networks_is_theirs() -> None:
    page = (ROOT / "docs" / "search_space.md").read_text()
    rows = re.findall(r"(?m)^([TA]\d-\w+) +(\S+_h\d+x\d+)$", page)
    assert len(rows) == 14
    for name, text in rows:
        assert movinas.published(name).text == text
