"""What was found: frontiers and families, reports, exports, and networks that stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from results.analysis.candidates import MeasuredNetwork
    from results.analysis.frontier import frontier, knee, pareto, within
    from results.analysis.hypervolume import HypervolumeHistory, hypervolume_history
    from results.export.export import ExportClips, ExportResult, ExportTarget, export_network
    from results.family.choice import choose_family
    from results.family.family import Family, FamilyMember
    from results.inference.many_streams import ManyStreams
    from results.inference.open_step import OpenedStep, open_step
    from results.inference.runners import ClipRunner, ExportRunner, Runner
    from results.inference.streaming import StreamingClassifier
    from results.member import Member, load_member, read_member, write_member
    from results.pipeline import run
    from results.profiling.build_latency_table import TimingEffort, build_table
    from results.profiling.step_profile import StepProfile, Subject, profile_step
    from results.publishing.hub_folder import write_hub_folder
    from results.publishing.hub_network import hub_network
    from results.publishing.port_files import write_port_files
    from results.report.from_folders import read_run, report_runs
    from results.report.report import write_report
    from results.report.run_view import Run
    from results.runtimes.preprocessing import Preprocessing
    from results.runtimes.registry import RUNTIMES, runtime_named
    from results.runtimes.sidecar import Check, Sidecar
    from results.watcher import Watcher
else:
    from search_space.lazy_names import lazy_names

    _MODULES = {
        "results.analysis.candidates": ("MeasuredNetwork",),
        "results.analysis.frontier": ("frontier", "knee", "pareto", "within"),
        "results.analysis.hypervolume": (
            "HypervolumeHistory",
            "hypervolume_history",
        ),
        "results.export.export": (
            "ExportClips",
            "ExportResult",
            "ExportTarget",
            "export_network",
        ),
        "results.family.choice": ("choose_family",),
        "results.family.family": (
            "Family",
            "FamilyMember",
        ),
        "results.inference.open_step": (
            "OpenedStep",
            "open_step",
        ),
        "results.inference.runners": (
            "ClipRunner",
            "ExportRunner",
            "Runner",
        ),
        "results.inference.many_streams": ("ManyStreams",),
        "results.inference.streaming": ("StreamingClassifier",),
        "results.member": (
            "Member",
            "load_member",
            "read_member",
            "write_member",
        ),
        "results.pipeline": ("run",),
        "results.profiling.build_latency_table": (
            "TimingEffort",
            "build_table",
        ),
        "results.profiling.step_profile": (
            "StepProfile",
            "Subject",
            "profile_step",
        ),
        "results.publishing.hub_folder": ("write_hub_folder",),
        "results.publishing.hub_network": ("hub_network",),
        "results.publishing.port_files": ("write_port_files",),
        "results.report.from_folders": (
            "read_run",
            "report_runs",
        ),
        "results.report.report": ("write_report",),
        "results.report.run_view": ("Run",),
        "results.runtimes.registry": (
            "RUNTIMES",
            "runtime_named",
        ),
        "results.runtimes.preprocessing": ("Preprocessing",),
        "results.runtimes.sidecar": (
            "Check",
            "Sidecar",
        ),
        "results.watcher": ("Watcher",),
    }
    __getattr__ = lazy_names(__name__, _MODULES)

__all__ = [
    "RUNTIMES",
    "Check",
    "ClipRunner",
    "ExportClips",
    "ExportResult",
    "ExportRunner",
    "ExportTarget",
    "Family",
    "FamilyMember",
    "HypervolumeHistory",
    "ManyStreams",
    "MeasuredNetwork",
    "Member",
    "OpenedStep",
    "Preprocessing",
    "Run",
    "Runner",
    "Sidecar",
    "StepProfile",
    "StreamingClassifier",
    "Subject",
    "TimingEffort",
    "Watcher",
    "build_table",
    "choose_family",
    "export_network",
    "frontier",
    "hub_network",
    "hypervolume_history",
    "knee",
    "load_member",
    "open_step",
    "pareto",
    "profile_step",
    "read_member",
    "read_run",
    "report_runs",
    "run",
    "runtime_named",
    "within",
    "write_hub_folder",
    "write_member",
    "write_port_files",
    "write_report",
]


def __dir__() -> list[str]:
    return sorted(__all__)
