"""The networks that a search begins with, as its record keeps them: fixed when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_space.errors import RecordError
from search_space.json_files import from_json, to_json
from searcher.record.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Seed:
    """A network that was known before the search.

    Args:
        genotype: choice of every gene; that of the nearest network of the space if it has not this one.
        exact: whether the genotype is that of this very network.
        digest: digest of the architecture.
        architecture: text form of the architecture.
        macs: multiply-adds of one clip.
        origin: where it comes from, in a few words.
    """

    genotype: tuple[int, ...]
    exact: bool
    digest: str
    architecture: str
    macs: int
    origin: str

    def candidate(self, number: int) -> Candidate:
        """Return it as the proposal of a number."""
        return Candidate(
            number=number,
            genotype=self.genotype,
            digest=self.digest,
            architecture=self.architecture,
            macs=self.macs,
            origin=self.origin,
            exact=self.exact,
        )


@dataclass(frozen=True, slots=True)
class Seeds:
    """All that a search begins with.

    Args:
        asked: entries of ``search.seeds``, as the settings gave them.
        networks: networks in the order in which they are proposed, no two the same.
        left_out: reasons why others that were asked for are not among them, a sentence for each.
    """

    asked: tuple[str, ...] = ()
    networks: tuple[Seed, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_attribute(self) -> dict[str, Any]:
        """Return them as an attribute of the search's study."""
        attribute: dict[str, Any] = to_json(self)
        return attribute

    @classmethod
    def of_attribute(cls, attribute: Mapping[str, Any]) -> Seeds:
        """Return what :meth:`to_attribute` described.

        Raises:
            RecordError: the attribute is damaged, or of a newer version.
        """
        return from_json(attribute, cls, where="the record's seeds", error=RecordError, hint="update movinas")
