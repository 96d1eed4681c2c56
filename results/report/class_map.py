"""The classes of a run's data, as ``data/classes.json`` in its folder has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from search_space.errors import RecordError
from search_space.json_files import read_json


@dataclass(frozen=True, slots=True)
class ClassMap:
    """Names of the classes by their index, in the form that the data has.

    Args:
        labels: kind of the labels: ``single``, ``multi`` or ``verb_noun``.
        classes: names of the classes, unless labels are a verb and a noun.
        verbs: names of the verbs.
        nouns: names of the nouns.
    """

    labels: str
    classes: Mapping[str, str] = field(default_factory=dict)
    verbs: Mapping[str, str] = field(default_factory=dict)
    nouns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> ClassMap:
        """Read ``classes.json``.

        Raises:
            RecordError: the file is missing or damaged.
        """
        return read_json(path, cls, error=RecordError, hint="start the run again: it writes the file anew")

    @property
    def outputs(self) -> int:
        """Number of outputs of the run's networks."""
        return len(self.classes) + len(self.verbs) + len(self.nouns)

    @property
    def chance(self) -> float | None:
        """Top-1 of guessing; None for several labels a clip, where it depends on how frequent they are.

        With a verb and a noun a clip counts as right if both are.
        """
        if self.labels == "verb_noun":
            pairs = len(self.verbs) * len(self.nouns)
            return 1 / pairs if pairs else None
        return 1 / len(self.classes) if self.labels == "single" and self.classes else None
