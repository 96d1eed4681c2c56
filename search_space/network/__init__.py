"""The networks: every Architecture as a torch module, for whole clips and frame by frame."""

from search_space.network.allocator import retain_freed_memory
from search_space.network.clip_module import ClipModule
from search_space.network.ensemble import Ensemble, TemporalEnsemble
from search_space.network.folding import fold, to_2plus1d
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build
from search_space.network.state import State, reset_streams, state_bytes
from search_space.network.step_module import StepModule
from search_space.network.weights import load_weights, save_weights

__all__ = [
    "ClipModule",
    "Ensemble",
    "Head",
    "MoViNet",
    "State",
    "StepModule",
    "TemporalEnsemble",
    "build",
    "fold",
    "load_weights",
    "reset_streams",
    "retain_freed_memory",
    "save_weights",
    "state_bytes",
    "to_2plus1d",
]
