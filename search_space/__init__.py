"""The search space: architectures, spaces of them, their networks and their costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search_space.architecture.architecture import Architecture
    from search_space.architecture.by_name import read_architecture
    from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Options, Stage
    from search_space.architecture.published import PUBLISHED, published
    from search_space.architecture.scaling import family_coefficients, scale_architecture
    from search_space.cost.closed_form import Cost, compute_cost, macs
    from search_space.cost.fvcore_reference import compare_with_fvcore
    from search_space.cost.latency_table import LatencyTable
    from search_space.cost.operators import Operator, operators, totals
    from search_space.errors import (
        ArchitectureError,
        DataError,
        ExportError,
        MovinasError,
        NetworkError,
        RecordError,
        SettingsError,
        SpaceError,
        Stopped,
    )
    from search_space.network.clip_module import ClipModule
    from search_space.network.ensemble import Ensemble, TemporalEnsemble
    from search_space.network.folding import deploy, fold, to_2plus1d
    from search_space.network.heads import Head
    from search_space.network.model import MoViNet, build, to_plain
    from search_space.network.official_weights import load_official, load_port, load_tensorflow
    from search_space.network.plain import PlainMoViNet
    from search_space.network.sharing.inherited_weights import inherit
    from search_space.network.step_module import StepModule
    from search_space.network.stream_state import State, reset_streams, state_bytes
    from search_space.network.weights import load_weights, save_weights
    from search_space.space.profile import SpaceProfile, profile_space, released_budgets
    from search_space.space.scaling import scale_space
    from search_space.space.space import SearchSpace
    from search_space.supernet.supernet import Supernet
else:
    from search_space.lazy_names import lazy_names

    _MODULES = {
        "search_space.architecture.architecture": ("Architecture",),
        "search_space.architecture.by_name": ("read_architecture",),
        "search_space.architecture.parts": (
            "BASE",
            "STREAM",
            "ClipShape",
            "Kernel",
            "Layer",
            "Options",
            "Stage",
        ),
        "search_space.architecture.published": ("PUBLISHED", "published"),
        "search_space.architecture.scaling": ("family_coefficients", "scale_architecture"),
        "search_space.cost.closed_form": ("Cost", "compute_cost", "macs"),
        "search_space.cost.fvcore_reference": ("compare_with_fvcore",),
        "search_space.cost.latency_table": ("LatencyTable",),
        "search_space.cost.operators": ("Operator", "operators", "totals"),
        "search_space.errors": (
            "ArchitectureError",
            "DataError",
            "ExportError",
            "MovinasError",
            "NetworkError",
            "RecordError",
            "SettingsError",
            "SpaceError",
            "Stopped",
        ),
        "search_space.network.clip_module": ("ClipModule",),
        "search_space.network.ensemble": ("Ensemble", "TemporalEnsemble"),
        "search_space.network.folding": ("deploy", "fold", "to_2plus1d"),
        "search_space.network.heads": ("Head",),
        "search_space.network.model": ("MoViNet", "build", "to_plain"),
        "search_space.network.official_weights": ("load_official", "load_port", "load_tensorflow"),
        "search_space.network.plain": ("PlainMoViNet",),
        "search_space.network.stream_state": ("State", "reset_streams", "state_bytes"),
        "search_space.network.sharing.inherited_weights": ("inherit",),
        "search_space.network.step_module": ("StepModule",),
        "search_space.network.weights": ("load_weights", "save_weights"),
        "search_space.space.profile": ("SpaceProfile", "profile_space", "released_budgets"),
        "search_space.space.scaling": ("scale_space",),
        "search_space.space.space": ("SearchSpace",),
        "search_space.supernet.supernet": ("Supernet",),
    }
    __getattr__ = lazy_names(__name__, _MODULES)

__all__ = [
    "BASE",
    "PUBLISHED",
    "STREAM",
    "Architecture",
    "ArchitectureError",
    "ClipModule",
    "ClipShape",
    "Cost",
    "DataError",
    "Ensemble",
    "ExportError",
    "Head",
    "Kernel",
    "LatencyTable",
    "Layer",
    "MoViNet",
    "MovinasError",
    "NetworkError",
    "Operator",
    "Options",
    "PlainMoViNet",
    "RecordError",
    "SearchSpace",
    "SettingsError",
    "SpaceError",
    "SpaceProfile",
    "Stage",
    "State",
    "StepModule",
    "Stopped",
    "Supernet",
    "TemporalEnsemble",
    "build",
    "compare_with_fvcore",
    "compute_cost",
    "deploy",
    "family_coefficients",
    "fold",
    "inherit",
    "load_official",
    "load_port",
    "load_tensorflow",
    "load_weights",
    "macs",
    "operators",
    "profile_space",
    "published",
    "read_architecture",
    "released_budgets",
    "reset_streams",
    "save_weights",
    "scale_architecture",
    "scale_space",
    "state_bytes",
    "to_2plus1d",
    "to_plain",
    "totals",
]


def __dir__() -> list[str]:
    return __all__
