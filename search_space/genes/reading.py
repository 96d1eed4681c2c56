"""Spaces by name, and reading them from files; one file may build on another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_space.errors import SpaceError
from search_space.genes.settings import parse_settings
from search_space.space.space import SearchSpace
from search_space.yaml_document import Document, read_yaml

_FOLDER = Path(__file__).parents[1] / "presets"


def preset_names() -> tuple[str, ...]:
    """The names of all presets."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def preset(name: str) -> SearchSpace:
    """A preset by its name.

    Raises:
        SpaceError: there is none of that name.
    """
    return load_space(_preset_document(name))


def read_space(source: str | Path) -> SearchSpace:
    """A space from a YAML file, or a preset by its name.

    Raises:
        SpaceError: no such file or preset, or what is wrong in it: place, value and remedy.
    """
    if isinstance(source, str) and source in preset_names():
        return preset(source)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(
            f"no space file can be read at {str(source)!r}: {error}",
            hint=f"give a YAML file, or one of the presets {', '.join(preset_names())}",
        ) from error
    return load_space(read_yaml(text, str(path)))


def load_space(document: Document) -> SearchSpace:
    """A space from a document; ``extends`` names a preset whose keys it has where it gives none of its own.

    Raises:
        SpaceError: names the place, the value and the remedy.
    """
    data: dict[str, Any] = dict(document.data)
    if "extends" in data:
        base = data.pop("extends")
        if base not in preset_names():
            raise SpaceError(
                f"{document.place(('extends',))}: there is no preset {base!r}",
                hint=f"there are {', '.join(preset_names())}",
            )
        inherited = _preset_document(base).data
        while "extends" in inherited:
            inherited = _preset_document(inherited["extends"]).data | {
                key: value for key, value in inherited.items() if key != "extends"
            }
        data = inherited | data
    space = SearchSpace(parse_settings(Document(document.source, data, document.lines)))
    _check_budgets(space, document)
    return space


def _check_budgets(space: SearchSpace, document: Document) -> None:
    for name, budget in space.settings.budgets.items():
        low, high = space.macs_range()
        if not low <= budget <= high:
            remedy = "smaller choices" if budget < low else "larger choices"
            raise SpaceError(
                f"{document.place(('budgets', name))}: {budget:.4g} multiply-adds cannot be reached",
                hint=f"the space goes from {low:.4g} to {high:.4g}: give it {remedy}",
            )


def _preset_document(name: str) -> Document:
    if name not in preset_names():
        raise SpaceError(f"there is no space preset {name!r}", hint=f"there are {', '.join(preset_names())}")
    return read_yaml((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"preset {name}")
