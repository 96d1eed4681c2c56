"""What became of a family's members after their choice: their folders, metrics, exports and latencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from results.export.export import STEP, ExportResult
from results.family.family import Family
from results.member import MEMBER, read_member
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.cost.stopwatch import Latency
from search_space.errors import ExportError, MovinasError
from search_space.files import write_json
from search_space.json_files import read_json, to_json

FAILED = "export_failed.json"


@dataclass(frozen=True, slots=True)
class MemberOutcome:
    """Outcome of one family member after its choice.

    Args:
        folder: folder relative to that of the run, such as ``family/A0``.
        metrics: metrics after the final training, such as ``top1`` and ``stream_top1`` (fractions).
        export: export of its streaming step.
        latency: time of one frame in PyTorch.
    """

    folder: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    export: ExportResult | None = None
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class ExportFailure:
    """Content of ``export_failed.json``: why a member has no export."""

    reason: str


def read_outcomes(run_folder: Path, family: Family) -> dict[str, MemberOutcome]:
    """Read what became of a family's members from their folders ``family/<name>``.

    Args:
        run_folder: folder of the run.
        family: family whose members are looked for.

    Returns:
        The outcomes by the member's name; those not trained yet are left out.

    Raises:
        NetworkError: a member's description is damaged.
    """
    outcomes = {}
    for member in family.members:
        folder = run_folder / "family" / member.name
        if (folder / MEMBER).is_file():
            metrics = read_member(folder).metrics
            outcomes[member.name] = MemberOutcome(f"family/{member.name}", metrics, _read_export(folder))
    return outcomes


def _read_export(folder: Path) -> ExportResult | None:
    """Read the result of a member's export; one that cannot be used has its reason."""
    path = folder / STEP.file_name
    try:
        if (folder / FAILED).is_file():
            failure = read_json(
                folder / FAILED, ExportFailure, error=ExportError, hint="export the member again"
            )
            return ExportResult.failed(folder.name, failure.reason)
        if path.is_file() and sidecar_of(path).is_file():
            sidecar = Sidecar.read(sidecar_of(path))
            return ExportResult(sidecar.name, path, sidecar.check, path.stat().st_size, 0.0)
    except (MovinasError, OSError) as error:
        return ExportResult.failed(folder.name, str(error))
    return None


def write_failure(folder: Path, result: ExportResult | None) -> None:
    """Write why a member's export failed into its folder, or remove an earlier reason."""
    if result is not None and not result.passed:
        write_json(folder / FAILED, to_json(ExportFailure(result.reason)))
    else:
        (folder / FAILED).unlink(missing_ok=True)
