"""The verdict on a claim, and the file that it is written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from results.reproduction.claim import Claim
from search_space.errors import RecordError
from search_space.files import write_json
from search_space.json_files import read_json, to_json

FORMAT, FILE = "movinas-verification-1", "verification.json"
State = Literal["verified", "exceeded", "not reached", "not the claim's setting", "not run"]


@dataclass(frozen=True, slots=True)
class Measured:
    """A measured figure with the ends of its 95 % confidence interval; all three are equal for costs."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Verification:
    """The verdict on a claim.

    Args:
        claim: id of the claim.
        state: the verdict.
        claimed: claimed figure, a fraction.
        measured: measured figure; None if nothing was run.
        differences: what differs from the claim's setting; with any, the verdict is never ``verified``.
        missing: what was missing, if nothing was run.
        stated: what the source says.
        assumed: what it leaves open, and what was done instead.
        figures: every other figure, by name.
        networks: what was judged: name, digests, weights.
        versions: versions of the programs.
        hardware: what computed.
        cost: seconds, and whatever else it took.
    """

    claim: str
    state: State
    claimed: float
    measured: Measured | None
    differences: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)
    networks: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, str | int] = field(default_factory=dict)
    cost: Mapping[str, float | int | str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write ``verification.json``."""
        write_json(folder / FILE, {"format": FORMAT, **to_json(self)})

    @classmethod
    def read(cls, folder: Path) -> Verification:
        """Read what :meth:`write` wrote.

        Raises:
            RecordError: the file is missing, damaged or of another version.
        """
        hint = "run the claim again"
        return read_json(folder / FILE, cls, error=RecordError, hint=hint, format=FORMAT)

    def text(self, claim: Claim) -> str:
        """Return the verdict and its reasons, for people."""
        lines = [f"{claim.title}: claimed {claim.text()}, {measured_text(self.measured)}: {self.state}"]
        for title, entries in (
            ("differs", self.differences),
            ("missing", self.missing),
            ("assumed", self.assumed),
        ):
            lines += [f"  {title}: {entry}" for entry in entries]
        return "\n".join(lines)


def measured_text(measured: Measured | None) -> str:
    """Return a measured figure with its interval, in per cent."""
    if measured is None:
        return "not measured"
    low, value, high = (100 * end for end in (measured.low, measured.value, measured.high))
    return f"measured {value:.2f} %" + (f" ({low:.2f} to {high:.2f})" if low < high else "")


def judge(claim: Claim, measured: Measured, differences: tuple[str, ...]) -> State:
    """Return the verdict on a measured figure.

    A claim is verified if the figure, rounded as it was published, lies in the interval of what was measured;
    exceeded or not reached if it lies below or above that.
    """
    if differences:
        return "not the claim's setting"
    # An ulp of doubt: figures are decimals.
    slack = claim.rounding + 1e-9
    if measured.low > claim.claimed + slack:
        return "exceeded"
    if measured.high < claim.claimed - slack:
        return "not reached"
    return "verified"
