"""What the plots show, worked out once for the picture and the interactive page alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from results.family import Family
from results.frontier import FrontierMember, candidates, frontier, latest
from results.measurements import FidelityLike, MeasurementLike, fidelities, fidelity_order, of_purpose

# A ramp from pale to dark slate for the rungs, and three hues that stay apart for the colour-blind.
CLOUD_COLORS = ("#d3dae3", "#aebacb", "#8797ad", "#64748b", "#475569", "#334155")
PROVISIONAL_COLOR = "#7c93b2"
CONFIRMED_COLOR = "#0b5394"
FAMILY_COLOR = "#d9480f"
INK = "#1f2933"
GRID_COLOR = "#e6e9ee"


@dataclass(frozen=True, slots=True)
class Cloud:
    """The candidates whose most thorough measurement is of one fidelity, with its words and its colour."""

    label: str
    color: str
    members: tuple[FrontierMember, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A family member's point: its name, multiply-adds, accuracy (a fraction) and architecture text."""

    name: str
    macs: int
    accuracy: float
    architecture: str
    trained: bool


@dataclass(frozen=True, slots=True)
class FrontierView:
    """Everything that the frontier plot shows.

    Args:
        title: over the plot.
        clouds: all measured candidates, from the lowest fidelity to the highest.
        provisional: the frontier of the search.
        confirmed: the frontier of the confirmation, with spreads.
        family: the named members, at the accuracy of their final training where known.
        references: horizontal lines, label -> accuracy (a fraction).
    """

    title: str
    clouds: tuple[Cloud, ...] = ()
    provisional: tuple[FrontierMember, ...] = ()
    confirmed: tuple[FrontierMember, ...] = ()
    family: tuple[Named, ...] = ()
    references: Mapping[str, float] = field(default_factory=dict)

    @property
    def macs(self) -> list[int]:
        """Multiply-adds of every point."""
        members = [m.macs for cloud in self.clouds for m in cloud.members]
        return (
            members + [m.macs for m in (*self.provisional, *self.confirmed)] + [m.macs for m in self.family]
        )

    @property
    def accuracies(self) -> list[float]:
        """Accuracy of every point."""
        members = [m.accuracy for cloud in self.clouds for m in cloud.members]
        return (
            members
            + [m.accuracy for m in (*self.provisional, *self.confirmed)]
            + [m.accuracy for m in self.family]
        )


def frontier_view(
    measurements: Sequence[MeasurementLike],
    family: Family | None = None,
    trained: Mapping[str, float] | None = None,
    *,
    title: str = "Accuracy against multiply-adds",
    references: Mapping[str, float] | None = None,
) -> FrontierView:
    """Works out the frontier plot.

    Args:
        measurements: the record's.
        family: whose members to name.
        trained: name -> accuracy (a fraction) after the final training; the ensemble is shown only with one.
        title: over the plot.
        references: horizontal lines, label -> accuracy (a fraction).
    """
    return FrontierView(
        title=title,
        clouds=_clouds(measurements),
        provisional=tuple(frontier(measurements)),
        confirmed=tuple(frontier(measurements, "confirmation")),
        family=tuple(_named(family, trained or {})) if family else (),
        references=dict(references or {}),
    )


def _clouds(measurements: Sequence[MeasurementLike]) -> tuple[Cloud, ...]:
    known = fidelities(of_purpose(measurements, "search"))
    words = fidelity_words(known)
    members = latest(measurements)
    first = max(0, len(CLOUD_COLORS) - 2 - len(known))
    clouds = []
    for index, fidelity in enumerate(known):
        here = tuple(m for m in members if m.fidelity == fidelity.key)
        color = CLOUD_COLORS[min(first + index, len(CLOUD_COLORS) - 1)]
        clouds.append(Cloud(words[fidelity.key], color, here))
    return tuple(cloud for cloud in clouds if cloud.members)


def fidelity_words(known: Iterable[FidelityLike]) -> dict[str, str]:
    """Key -> words such as ``8 epochs``; the share of the data is named only where it differs."""
    distinct = sorted({f.key: f for f in known}.values(), key=fidelity_order)
    words = {}
    for fidelity in distinct:
        parts = [f"{fidelity.epochs} epoch{'s' if fidelity.epochs != 1 else ''}"]
        if len({f.share for f in distinct}) > 1:
            parts.append(f"{100 * fidelity.share:.0f} % of the data")
        words[fidelity.key] = ", ".join(parts)
    return words


def _named(family: Family, trained: Mapping[str, float]) -> Iterable[Named]:
    for member in family.members:
        accuracy = trained.get(member.name, member.accuracy)
        if accuracy is not None:
            text = member.architecture or " + ".join(member.parts)
            yield Named(member.name, member.macs, accuracy, text, member.name in trained)


@dataclass(frozen=True, slots=True)
class Survival:
    """How many architectures were measured at each fidelity of the search."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]


def survival(measurements: Sequence[MeasurementLike]) -> Survival:
    """Counts the architectures that reached each rung."""
    made = of_purpose(measurements, "search")
    known = fidelities(made)
    words = fidelity_words(known)
    return Survival(tuple(words[f.key] for f in known), tuple(len(candidates(made, f.key)) for f in known))
