"""The public names of the rooms: what the type checker believes holds, and importing a room loads nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import FunctionType

import pytest

ROOT = Path(__file__).parent.parent
FACES = ("search_space", "proxy_train", "searcher", "results")


def names_for_the_type_checker(room: str) -> dict[str, tuple[str, ...]]:
    """Return the names that the room's ``if TYPE_CHECKING`` imports, by module."""
    tree = ast.parse((ROOT / room / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {str(node.module): tuple(alias.name for alias in node.names) for node in imports}


@pytest.mark.parametrize("room", FACES)
def test_public_names_are_those_of_the_type_checker(room: str) -> None:
    face = import_module(room)
    modules = names_for_the_type_checker(room)
    assert modules == face._MODULES
    names = [name for defined in modules.values() for name in defined]
    assert sorted(names) == sorted(face.__all__) == sorted(dir(face))
    for module, defined in modules.items():
        for name in defined:
            value = getattr(face, name)
            assert value is getattr(import_module(module), name)
            if isinstance(value, FunctionType | type):
                assert value.__module__ == module, "it is imported from where it is defined"


@pytest.mark.parametrize("room", FACES)
def test_no_public_name_hides_a_module(room: str) -> None:
    inside = {path.stem for path in (ROOT / room).iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not inside & set(import_module(room).__all__)


@pytest.mark.parametrize("room", FACES)
def test_a_name_that_is_not_public_is_no_attribute(room: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'nothing'"):
        import_module(room).nothing  # noqa: B018


def test_importing_a_room_loads_nothing_heavy() -> None:
    heavy = {"torch", "ray", "optuna", "plotly", "numpy", "pandas"}
    code = f"import sys; {'; '.join(f'import {room}' for room in FACES)}; print({heavy!r} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_names_that_a_page_imports_exist(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = import_module(str(node.module))
                assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]
