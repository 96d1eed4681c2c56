"""Architectures as users give them: a text, a published name, or a file."""

from __future__ import annotations

import json
from pathlib import Path

from search_space.architecture.architecture import Architecture
from search_space.architecture.published import published
from search_space.errors import ArchitectureError


def read_architecture(text: str) -> Architecture:
    """Return an architecture from its text, a published name such as ``A0-stream``, or a JSON file.

    Raises:
        ArchitectureError: the text is none of these, or the file cannot be read.
    """
    if text.endswith(".json"):
        try:
            return Architecture.from_json(json.loads(Path(text).read_text(encoding="utf-8")))
        except (OSError, json.JSONDecodeError) as error:
            raise ArchitectureError(
                f"{text} cannot be read: {error}", hint="give an architecture.json"
            ) from error
    return Architecture.parse(text) if len(text) > len("A0-stream") else published(text)
