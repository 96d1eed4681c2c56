"""Architectures as fields of other JSON forms: by their one-line text, or by their own JSON form."""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainSerializer, PlainValidator

from search_space.architecture.architecture import Architecture

ArchitectureText = Annotated[
    Architecture, PlainValidator(Architecture.parse), PlainSerializer(lambda a: a.text, str)
]
"""An architecture that stands in a JSON form as its one-line text."""

ArchitectureJson = Annotated[
    Architecture, PlainValidator(Architecture.from_json), PlainSerializer(Architecture.to_json, dict)
]
"""An architecture that stands in a JSON form as its own JSON form."""
