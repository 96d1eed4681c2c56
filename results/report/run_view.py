"""What the report shows of a run, and how to gather it from the run's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from results.analysis.candidates import DEFAULT
from results.export.export import FILE, ExportResult
from results.family.family import Family
from results.inference.latency import Latency
from results.member import ABOUT, read_member
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.errors import MovinasError
from search_space.files import write_json
from searcher.record import Measurement

FAILED = "export_failed.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one family member after its choice.

    Args:
        folder: relative to the run folder, such as ``family/A0``.
        metrics: after the final training, such as ``top1`` and ``stream_top1`` (fractions).
        export: of its streaming step.
        latency: of one frame in PyTorch.
    """

    folder: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    export: ExportResult | None = None
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that the report shows; what is not there yet is left out or said to be missing.

    Args:
        name: of the run.
        measurements: all of the record, in its order.
        settings: as resolved.
        environment: versions, machine.
        profile: of the search space, as a mapping or as text.
        family: as chosen.
        outcomes: by the member's name.
        next_commands: what to type next, one command each.
        references: horizontal lines in the frontier plot, label -> accuracy (a fraction).
        seconds: wall time of the run so far.
        finished: when, in words.
        objectives: of the search; the first two or three draw the frontier and the hypervolume.
        runs: the measurements of each run by name, where several are merged.
        published: whether the released networks are laid over the frontier.
    """

    name: str
    measurements: Sequence[Measurement]
    settings: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, object] = field(default_factory=dict)
    profile: Mapping[str, object] | str = ""
    family: Family | None = None
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    next_commands: Sequence[str] = ()
    references: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    finished: str = ""
    objectives: Sequence[str] = DEFAULT
    runs: Mapping[str, Sequence[Measurement]] = field(default_factory=dict)
    published: bool = False

    @property
    def trained(self) -> dict[str, float]:
        """Top-1 after the final training by the member's name, as far as there is one."""
        return {name: o.metrics["top1"] for name, o in self.outcomes.items() if "top1" in o.metrics}


def read_outcomes(run_folder: Path, family: Family) -> dict[str, Outcome]:
    """What became of the family's members, from their folders ``family/<name>``; those not trained yet are
    left out.

    Raises:
        NetworkError: if a member's description is damaged.
    """
    outcomes = {}
    for member in family.members:
        folder = run_folder / "family" / member.name
        if (folder / ABOUT).is_file():
            about = read_member(folder)
            outcomes[member.name] = Outcome(f"family/{member.name}", about.metrics, _export(folder))
    return outcomes


def _export(folder: Path) -> ExportResult | None:
    """What a member's folder says of its export: one that cannot be used is there with its reason."""
    path = folder / FILE
    try:
        if (folder / FAILED).is_file():
            return _failed(folder, str(json.loads((folder / FAILED).read_text(encoding="utf-8"))["reason"]))
        if path.is_file() and sidecar_of(path).is_file():
            about = Sidecar.read(sidecar_of(path))
            return ExportResult(about.name, path, about.check, path.stat().st_size, 0.0)
    except (MovinasError, OSError, ValueError, TypeError, KeyError) as error:
        return _failed(folder, str(error))
    return None


def _failed(folder: Path, reason: str) -> ExportResult:
    return ExportResult(folder.name, None, None, 0, 0.0, reason)


def write_failure(folder: Path, result: ExportResult | None) -> None:
    """Keeps why a member's export failed beside it, or takes an earlier reason away."""
    if result is not None and not result.passed:
        write_json(folder / FAILED, {"reason": result.reason})
    else:
        (folder / FAILED).unlink(missing_ok=True)
