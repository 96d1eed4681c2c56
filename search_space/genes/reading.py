"""Space files and presets: documents by name or path, of which one may build on another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search_space.errors import SpaceError
from search_space.genes.settings import SpaceSettings, parse_settings
from search_space.yaml_document import Document, read_yaml

_FOLDER = Path(__file__).parents[1] / "presets"


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def read_preset(name: str) -> Document:
    """Return the document of a preset.

    Raises:
        SpaceError: no preset has that name.
    """
    if name not in preset_names():
        raise SpaceError(f"there is no space preset {name!r}", hint=f"there are {', '.join(preset_names())}")
    return read_yaml((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"preset {name}")


def read_document(source: str | Path) -> Document:
    """Read a YAML file, or a preset by its name.

    Raises:
        SpaceError: no such file or preset, or no YAML.
    """
    if isinstance(source, str) and source in preset_names():
        return read_preset(source)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(
            f"no space file can be read at {str(source)!r}: {error}",
            hint=f"give a YAML file, or one of the presets {', '.join(preset_names())}",
        ) from error
    return read_yaml(text, str(path))


def parse_space(document: Document) -> SpaceSettings:
    """Validate a document; ``extends`` names a preset, which gives the keys that the document does not.

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
        inherited = read_preset(base).data
        while "extends" in inherited:
            inherited = read_preset(inherited["extends"]).data | {
                key: value for key, value in inherited.items() if key != "extends"
            }
        data = inherited | data
    return parse_settings(Document(document.source, data, document.lines))
