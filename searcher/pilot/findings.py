"""The findings of a pilot: what its trainings say about measurements of this data, network by network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from proxy_train.evaluation.chance import Chance
from proxy_train.evaluation.content_probe import Probed
from searcher.pilot.timing import Timing
from searcher.reliability import Reliability

Kind = Literal["learns", "few updates", "rate", "diverges", "labels", "flips", "unknown"]


@dataclass(frozen=True, slots=True)
class Length:
    """The whole trainings of one length.

    Args:
        epochs: epochs of their schedule.
        updates: updates of their schedule.
        networks: number of networks that were trained for so long.
        left: number of those whose mean accuracy is significantly above chance.
        accuracy: median accuracy of the networks, a fraction.
        reliability: reliability of measurements of this length; None where too few were repeated.
    """

    epochs: int
    updates: int
    networks: int
    left: int
    accuracy: float
    reliability: Reliability | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A training that was to tell why nothing learns.

    Args:
        what: what it was for: ``long``, or a factor of the learning rate such as ``rate x 0.1``.
        macs: multiply-adds of its network.
        updates: updates after which it was last measured.
        accuracy: accuracy then, a fraction; None if it diverged.
        train_loss: mean loss of the epoch before; None if it is not known.
        left: whether it left chance.
    """

    what: str
    macs: float
    updates: int
    accuracy: float | None
    train_loss: float | None
    left: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the findings come to.

    Args:
        kind: ``learns``, the cause why nothing does, or ``unknown`` where the pilot cannot tell.
        message: the fault in one sentence; empty if networks learn.
        remedy: the remedy; empty if there is none to give.
        stops: whether the evidence is clear enough not to search.
        notes: further sentences about the settings and the data, that stop nothing.
    """

    kind: Kind = "learns"
    message: str = ""
    remedy: str = ""
    stops: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """The findings of a pilot; ``pilot.json`` of a run's folder.

    Args:
        data: identity of the prepared data.
        chance: chance of the validation split.
        updates_an_epoch: updates of an epoch of all training clips.
        lengths: whole trainings by their length, the shortest first.
        attempts: trainings that were to tell why nothing learns.
        updates_to_leave: updates after which most networks left chance; of a long training, if only that
            did; None if none did.
        timing: seconds of an epoch; None if nothing was timed.
        window: lowest and highest multiply-adds of the search.
        trainings: number of trainings.
        diverged: number of those whose loss diverged.
        spent: share of the search's planned cost that they took.
        seconds: seconds that they took.
        probe: result of the content probe; None if there is none.
        verdict: what it comes to.
    """

    data: str
    chance: Chance
    updates_an_epoch: int
    lengths: tuple[Length, ...]
    attempts: tuple[Attempt, ...]
    updates_to_leave: int | None
    timing: Timing | None
    window: tuple[float, float]
    trainings: int
    diverged: int
    spent: float
    seconds: float
    probe: Probed | None = None
    verdict: Verdict = field(default_factory=Verdict)

    def text(self, *, with_message: bool = True) -> str:
        """Return a few lines for a terminal, at their end the verdict's message unless an error has it."""
        level = f"{100 * self.chance.level:.1f} %"
        lines = [
            f"Pilot: {self.trainings} trainings, {100 * self.spent:.1f} % of the search's planned cost,"
            f" {self.seconds:.0f} s of a worker"
        ]
        if self.chance.tells:
            lines.append(
                f"  chance is {level}; from {100 * self.chance.threshold:.1f} % on,"
                f" an accuracy on the {self.chance.clips} validation clips is more than chance"
            )
        lines += [_length_text(length) for length in self.lengths]
        lines += [_attempt_text(attempt) for attempt in self.attempts]
        if self.diverged:
            lines.append(f"  the loss diverged in {self.diverged} of {self.trainings} trainings")
        if self.timing is not None:
            per_million = 1e6 * self.timing.per_mac
            lines.append(
                f"  an epoch takes {self.timing.fixed:.2g} s, and {per_million:.2g} s a million multiply-adds"
            )
        if self.probe is not None:
            found = "tell" if self.probe.finds_content else "do not tell"
            lines.append(
                f"  coarse features of the clips, without a network, {found} the classes apart:"
                f" {100 * self.probe.accuracy:.1f} %"
            )
        lines += [f"  note: {words}" for words in self.verdict.notes]
        if self.verdict.message and with_message:
            lines.append(f"  {self.verdict.message}; {self.verdict.remedy}")
        return "\n".join(lines)


def _length_text(length: Length) -> str:
    words = (
        f"  after {length.updates} updates ({_epochs(length.epochs)}): {length.left} of {length.networks}"
        f" networks left chance, median accuracy {100 * length.accuracy:.1f} %"
    )
    return words if length.reliability is None else f"{words}, reliability {length.reliability.text()}"


def _attempt_text(attempt: Attempt) -> str:
    what = "trained on" if attempt.what == "long" else f"with {attempt.what.replace('rate', 'learning rate')}"
    if attempt.accuracy is None:
        return f"  a network of {attempt.macs:.3g} multiply-adds {what} diverged"
    left = "left chance" if attempt.left else "did not leave chance"
    return (
        f"  a network of {attempt.macs:.3g} multiply-adds {what} for {attempt.updates} updates {left}:"
        f" {100 * attempt.accuracy:.1f} %"
    )


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"
