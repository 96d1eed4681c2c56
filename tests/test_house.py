"""The rooms import one way only, and the rules of the house that a machine can check."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("search_space", "proxy_train", "searcher", "results")
ALLOWED = {
    "search_space": {"search_space"},
    "proxy_train": {"search_space", "proxy_train"},
    "searcher": {"search_space", "proxy_train", "searcher"},
    "results": {"search_space", "searcher", "results"},
}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def imported_rooms(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & {*ROOMS, "movinas"}


def test_import_reader_sees_every_form() -> None:
    source = "import results.plots\nfrom searcher.record import Records\ndef f():\n    import proxy_train\n"
    assert imported_rooms(source) == {"results", "searcher", "proxy_train"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    assert imported_rooms(path.read_text()) <= ALLOWED[room]


@pytest.mark.parametrize("path", [*FILES, ROOT / "movinas.py"], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_short_and_never_unpickle(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 400
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    forbidden = {"eval", "exec", "pickle.load", "pickle.loads", "torch.load", "yaml.load", "joblib.load"}
    assert not calls & forbidden


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if ast.unparse(node.func) == "print"]
