"""The rules of the house that a machine can check: which way imports point, and what a reader can take in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
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
# Within a room, the floors from the ground up: a file imports from lower floors and from its own folder.
FLOORS: Mapping[str, tuple[str, ...]] = {
    "search_space": (
        "collection errors escapes file_kind files lazy_names progress spawning termination",
        "architecture json_files yaml_document",
        "genes network",
        "cost",
        "sampling",
        "space",
        "supernet",
    ),
    "proxy_train": (
        "distributed fidelity metric_names processes recipe video",
        "data measurement",
        "store",
        "clips",
        "evaluation",
        "training",
        "supernet",
    ),
    "searcher": (
        "hypervolume_box objectives pareto reliability",
        "record",
        "promotion strategies",
        "plan",
        "cluster",
        "evaluator settings",
        "supernet",
        "run simulation standalone",
        "pilot",
        "testing",
    ),
    "results": (
        "analysis fonts provenance units watcher",
        "member runtimes",
        "inference",
        "browser export",
        "family profiling",
        "plots publishing text",
        "evaluation report",
        "pipeline reproduction",
        "commands",
    ),
}
FILES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
FRONT_DOOR = ROOT / "movinas.py"
MOST_FILES, MOST_LINES, MOST_STATEMENT_LINES, MOST_PARAMETERS = 18, 400, 60, 8


def name_of(path: Path) -> str:
    """Return the dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in [*FILES, FRONT_DOOR]}


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return every node of a file's tree, the file's own first."""
    return list(ast.walk(ast.parse(path.read_text())))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Return every module that the nodes import, in functions and for the type checker too."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in MODULES else node.module for name in whole}
    return names


@cache
def graph() -> Mapping[str, frozenset[str]]:
    """Return the project's modules that each of its modules imports; the rooms' public faces aside."""
    return {
        name: frozenset(imported(nodes(path)) & MODULES.keys() - {name})
        for name, path in MODULES.items()
        if name not in ROOMS
    }


def place(module: str) -> tuple[str, str]:
    """Return the room of a module, and its folder there, or its own name if it stands in the room itself."""
    room, *rest = module.split(".")
    return room, rest[0] if rest else ""


def circles(links: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """Return the modules that are left when those that import none of the rest are taken away, again and
    again."""
    left = dict(links)
    while free := [name for name, names in left.items() if not names & left.keys()]:
        for name in free:
            del left[name]
    return [sorted(left)] if left else []


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef, str]]:
    """Yield the functions of a file: name, definition, and its docstring, or for ``__init__`` the class's."""
    for holder in nodes(path):
        for node in ast.iter_child_nodes(holder):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                of_class = isinstance(holder, ast.ClassDef) and node.name == "__init__"
                documented = holder if of_class and isinstance(holder, ast.ClassDef) else node
                yield node.name, node, ast.get_docstring(documented) or ""


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_readers_of_imports_see_every_form() -> None:
    source = (
        "import results.plots\nfrom searcher.record.records import Records\n"
        "def f():\n    import proxy_train\n    from searcher.settings import checks\n"
        "if TYPE_CHECKING:\n    from results.family.card import write_card\n"
    )
    assert imported(ast.walk(ast.parse(source))) == {
        "results.plots",
        "searcher.record.records",
        "proxy_train",
        "searcher.settings.checks",
        "results.family.card",
    }
    assert circles({"a": frozenset("b"), "b": frozenset("a"), "c": frozenset("a")}) == [["a", "b", "c"]]
    assert circles({"a": frozenset("b"), "b": frozenset()}) == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_point_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    rooms = {name.split(".")[0] for name in imported(nodes(path))} & {*ROOMS, "movinas"}
    assert rooms <= ALLOWED[room]


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == []


@pytest.mark.parametrize("room", ROOMS)
def test_folders_import_from_lower_floors_only(room: str) -> None:
    floors = {name: floor for floor, names in enumerate(FLOORS[room]) for name in names.split()}
    here = {place(module)[1] for module in graph() if place(module)[0] == room}
    assert here == set(floors), "every folder and every file of the room itself has a floor"
    upward = [
        f"{module} -> {other}"
        for module, others in graph().items()
        for other in others
        if place(module)[0] == place(other)[0] == room
        and place(module) != place(other)
        and floors[place(other)[1]] >= floors[place(module)[1]]
    ]
    assert upward == []


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=relative)
def test_folders_can_be_taken_in_at_a_look(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("path", [*FILES, FRONT_DOOR], ids=relative)
def test_files_stay_short_and_never_unpickle(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES
    calls = {ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call)}
    forbidden = {"eval", "exec", "pickle.load", "pickle.loads", "torch.load", "yaml.load", "joblib.load"}
    assert not calls & forbidden


@pytest.mark.parametrize("path", [*FILES, FRONT_DOOR], ids=relative)
def test_functions_do_one_thing(path: Path) -> None:
    # The options of a command are the parameters of its function, whose docstring is the command's help.
    commands = path == FRONT_DOOR or path.parent.name == "commands"
    for name, node, docstring in functions(path):
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        statements = {line for part in body for line in range(part.lineno, (part.end_lineno or 0) + 1)}
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        parameters = [each.arg for each in every if each.arg not in ("self", "cls")]
        assert len(statements) <= MOST_STATEMENT_LINES, f"{name} has {len(statements)} lines"
        if len(parameters) > MOST_PARAMETERS and not commands:
            assert "parameters" in docstring, f"{name} has {len(parameters)} parameters and does not say why"


# First words of docstrings that describe where a function's should command.
_DESCRIBES = re.compile(
    r"(The|A|An|What|Whether|How|Where|Who|Every|All|Each|Up|So|Such|That|This|It|As|For|In|On|At|By|To|From"
    r"|With|When|If|Nothing|One|Two|Several|More|Another|[A-Z][a-z]+[^s\W]s)\b"
)
_IMPERATIVES_IN_S = {
    "Process",
    "Pass",
    "Express",
    "Address",
    "Compress",
    "Assess",
    "Discuss",
    "Guess",
    "Focus",
}


@pytest.mark.parametrize("path", [*FILES, FRONT_DOOR], ids=relative)
def test_docstrings_of_functions_are_imperative(path: Path) -> None:
    for name, node, docstring in functions(path):
        decorators = {ast.unparse(decorator).split("(")[0] for decorator in node.decorator_list}
        if name == "__init__" or not docstring or decorators & {"property", "cached_property"}:
            continue
        first = docstring.split()[0].strip(".,:;")
        assert first in _IMPERATIVES_IN_S or not _DESCRIBES.match(docstring), f"{name}: {docstring[:60]}"


_ENTRY = re.compile(
    r"\*{0,2}[a-z_]\w*(, \*{0,2}[a-z_]\w*)*: (of|told|in|on|at|by|to|from|with|for|as|so|up|such|whose)\b"
)


@pytest.mark.parametrize("path", [*FILES, FRONT_DOOR], ids=relative)
def test_arguments_are_documented_by_nouns(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            lines = (ast.get_docstring(node) or "").splitlines()
            assert [line for line in lines if _ENTRY.match(line.strip())] == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_only_the_command_line_prints(path: Path) -> None:
    calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
    assert not [node.lineno for node in calls if ast.unparse(node.func) == "print"]
