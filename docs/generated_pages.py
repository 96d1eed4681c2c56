"""Pages of the site that follow from the code: the command line, the settings, the changelog and the like.

A hook of MkDocs (``hooks`` in mkdocs.yml); it writes nothing into the checkout.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ROOMS = ("search_space", "proxy_train", "searcher", "results")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of the folder."""
    sys.path.insert(0, str(ROOT))
    pages = {
        "reference/command_line.md": "".join(command_line()),
        "reference/settings.md": "".join(settings()),
        "contributing.md": linked((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")),
        "changelog.md": linked((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
        "reference/movinas.md": "".join(front_door()),
        **{f"reference/{room}.md": "".join(public_names(room)) for room in ROOMS},
    }
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    for path in sorted((ROOT / "deploy").iterdir()):
        uri = f"deploy/{path.name}"
        files.append(File.generated(config, uri, content=path.read_text(encoding="utf-8")))
    for path in list(files):
        # Python beside the pages belongs to the site's making.
        if path.src_uri.endswith(".py"):
            files.remove(path)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Return a page with its links to files outside docs/ as the site has them."""
    up = "../" * page.file.src_uri.count("/")
    markdown = markdown.replace(f"](../{up}deploy/", f"]({up}deploy/")
    pages = rf"\]\(\.\./{up}(CONTRIBUTING|CHANGELOG)\.md"
    return re.sub(pages, lambda page: f"]({up}{page[1].lower()}.md", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Return a page without the roles (``:meth:`` and the like) that docstrings give to names."""
    return re.sub(r":(?:class|meth|func|data|attr|mod):<code>~?([^<]*)</code>", r"<code>\1</code>", html)


def linked(text: str) -> str:
    """Return a page of the checkout's root with its links into docs/ as the site has them."""
    return re.sub(r"\]\(docs/", "](", text)


def command_line() -> Iterator[str]:
    """Yield the page of all commands, as ``--help`` has them."""
    import typer

    import movinas

    yield "# Command line\n\nEvery command prints this with `--help`.\n"
    yield from _commands(typer.main.get_command(movinas.app), "movinas")


def _commands(group: Any, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        words = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, words)
            continue
        yield f"\n## {words}\n\n{_cell(command.help or '')}\n\n"
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield "| | | default |\n|---|---|---|\n" + "".join(rows)


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        words = f"`{parameter.name.upper()}`"
    else:
        words = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    if parameter.required:
        default = "required"
    elif isinstance(parameter.default, bool):
        # A flag alone is off; of two, one is the default.
        default = f"`{parameter.opts[0]}`" if parameter.default and parameter.secondary_opts else ""
    elif parameter.default is None or callable(parameter.default) or parameter.default in ((), ""):
        default = ""
    else:
        default = f"`{parameter.default}`"
    return f"| {words} | {_cell(getattr(parameter, 'help', None) or '')} | {default} |\n"


# The pages of the guide that explain a part of the settings.
_EXPLAINED = {
    "data": "data.md",
    "recipe": "training.md#recipes",
    "pilot": "pilot.md",
    "search": "search.md",
    "search.windows": "records.md#objectives-windows-constraints",
    "search.rungs": "training.md#fidelities",
    "confirmation": "records.md#confirmation",
    "family": "results.md#the-family",
}


def settings() -> Iterator[str]:
    """Yield the page of all settings of a run."""
    from searcher.settings.settings import Settings

    yield (
        "# Settings\n\nA run is described by one YAML file. A key that is left out has its default; the"
        " `settings.yaml` in a run's folder holds all of them as they were resolved.\n"
    )
    yield from _model(Settings, "", {})


def _model(model: Any, path: str, shown: dict[Any, str]) -> Iterator[str]:
    """Yield the table of a part of the settings, and those of its own parts, each model once."""
    shown[model] = path
    yield f"\n## {path or 'The run'}\n\n{_summary(model) if path else 'Keys at the top of the file.'}"
    if path in _EXPLAINED:
        yield f" [The guide](../{_EXPLAINED[path]}) explains them."
    yield "\n\n| key | | values | default |\n|---|---|---|---|\n"
    parts = []
    for name, field in model.model_fields.items():
        inner, where = _inner(field.annotation), f"{path}.{name}".lstrip(".")
        text = _cell(field.description or (_summary(inner).rstrip(".") if inner else ""))
        if inner is None:
            choices = ", ".join(f"`{choice}`" for choice in _choices(field.annotation))
            yield f"| `{name}` | {text} | {choices} | {_default(field)} |\n"
            continue
        if inner not in shown:
            shown[inner] = where
            parts.append((where, inner))
        yield f"| `{name}` | {text} | see [{shown[inner]}](#{_anchor(shown[inner])}) | |\n"
    for where, inner in parts:
        yield from _model(inner, where, shown)


def _summary(model: Any) -> str:
    """Return the first sentence of a model's docstring."""
    return str((model.__doc__ or "").strip().splitlines()[0])


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the words of which a field takes one or more, if it takes words only."""
    if get_origin(annotation) is Literal:
        return tuple(str(choice) for choice in get_args(annotation))
    kinds = [kind for kind in get_args(annotation) if kind not in (type(None), ...)]
    return _choices(kinds[0]) if len(kinds) == 1 else ()


def _default(field: Any) -> str:
    """Return a field's default as a settings file has it; nothing for one that is worked out."""
    default = field.get_default(call_default_factory=False)
    if default is None or repr(default) == "PydanticUndefined":
        return ""
    if isinstance(default, tuple):
        return f"`[{', '.join(map(str, default))}]`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _inner(annotation: Any) -> Any:
    """Return the model that a field holds, None if it holds a plain value."""
    from pydantic import BaseModel

    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9_]", "", heading.lower())


def public_names(room: str) -> Iterator[str]:
    """Yield the page of a room's public names."""
    module = importlib.import_module(room)
    yield f"# {room}\n\n{(module.__doc__ or '').strip()}\n\n"
    yield f"These names are imported from `{room}` itself; the modules below it may change.\n\n"
    defined = {name: place for place, names in module._MODULES.items() for name in names}
    for name in sorted(module.__all__, key=str.lower):
        yield f"::: {defined[name]}.{name}\n\n"


def front_door() -> Iterator[str]:
    """Yield the page of the names that most programs need, each with a link to its room's page."""
    import movinas

    yield "# movinas\n\nThe handful of names that most programs need.\n\n"
    yield "| name | documented in |\n|---|---|\n"
    for name in movinas.__all__:
        room = getattr(getattr(movinas, name), "__module__", "").partition(".")[0]
        if room in ROOMS:
            documented = name in importlib.import_module(room).__all__
            yield f"| `movinas.{name}` | " + (f"[{room}]({room}.md) |\n" if documented else f"`{room}` |\n")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
