"""The family: named networks A0, A1, ... of a run, and A6, the ensemble of the two largest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search_space.errors import RecordError
from search_space.files import write_json
from search_space.json_files import read_json, to_json

_FORMAT = "movinas-family-1"


@dataclass(frozen=True, slots=True)
class FamilyMember:
    """A named network of the family.

    Args:
        name: ``A0`` to ``A5`` by rising multiply-adds, or the user's name for its budget; ``A6`` for the
            ensemble.
        architecture: one-line text; empty for the ensemble, whose networks are its ``parts``.
        digest: identity of the architecture; empty for the ensemble.
        macs: multiply-adds of a clip, summed over the parts of an ensemble.
        accuracy: confirmed mean top-1, a fraction; None for the ensemble, which the search does not measure.
        spread: sample standard deviation of the confirmed top-1.
        seeds: trainings behind the mean.
        parameters: trainable parameters, summed over parts.
        state_bytes: bytes of stream state, summed over parts.
        budget: budget that it was picked for, in the unit of ``Family.cost``; None for the ensemble.
        parts: names of the ensemble's members; empty for a single network.
        scaled_from: digest of the confirmed network that it is a compound scaling of; empty for one that was
            itself measured. Its accuracy is not known before it is trained.
        latency_ms: time of a frame in milliseconds, if it was measured.
    """

    name: str
    architecture: str
    digest: str
    macs: int
    accuracy: float | None
    spread: float
    seeds: int
    parameters: int
    state_bytes: int
    budget: float | None = None
    parts: tuple[str, ...] = ()
    scaled_from: str = ""
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """The members by rising cost, the ensemble last; ``notes`` say what is missing, and why.

    ``cost`` is the objective that budgets are of: ``macs`` or ``latency``.
    """

    members: tuple[FamilyMember, ...]
    notes: tuple[str, ...] = ()
    cost: str = "macs"

    @property
    def singles(self) -> tuple[FamilyMember, ...]:
        """Members that are one network each."""
        return tuple(m for m in self.members if not m.parts)

    @property
    def ensemble(self) -> FamilyMember | None:
        """Ensemble of two networks, if the frontier had two for the same clip."""
        return next((m for m in self.members if m.parts), None)

    @property
    def span(self) -> float:
        """Ratio of multiply-adds, largest to smallest single network."""
        return self.singles[-1].macs / self.singles[0].macs if self.singles else 1.0

    def __getitem__(self, name: str) -> FamilyMember:
        """Return the member called ``name``.

        Raises:
            RecordError: there is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise RecordError(
            f"the family has no member {name!r}", hint=f"it has {', '.join(m.name for m in self.members)}"
        )

    def write(self, path: Path) -> None:
        """Write ``family.json``, whole or not at all."""
        write_json(path, {"format": _FORMAT, "span": round(self.span, 3), **to_json(self)})

    @classmethod
    def read(cls, path: Path) -> Family:
        """Read what :meth:`write` wrote.

        Raises:
            RecordError: the file is missing, damaged or of another version.
        """
        return read_json(
            path,
            cls,
            error=RecordError,
            hint="choose the family again: movinas family RUN, with your budgets if you had any",
            missing="a run writes it once its frontier is confirmed",
            format=_FORMAT,
        )
