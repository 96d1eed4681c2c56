"""The training of candidates: videos, prepared clips, recipe, training, evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy_train.clips.views import Views
    from proxy_train.data.check import DataCheck, check_dataset
    from proxy_train.data.dataset import Dataset, LeftOut, VideoItem
    from proxy_train.data.settings import DataSettings, load_dataset
    from proxy_train.evaluation.assessment import Assessment, assess
    from proxy_train.evaluation.evaluation import Metrics, Predictions, ensemble, evaluate, predict
    from proxy_train.fidelity import Fidelity
    from proxy_train.measurement import Measurement
    from proxy_train.recipe import Recipe
    from proxy_train.store.clip_origins import LostVideoError
    from proxy_train.store.prepared_data import PreparedData, prepare
    from proxy_train.training.epoch_progress import EpochReport
    from proxy_train.training.initial_weights import InitialWeights
    from proxy_train.training.out_of_memory import OutOfMemory
    from proxy_train.training.training import Training
    from proxy_train.training.training_run import EpochLine, TrainingRun, read_training_log
    from proxy_train.training.updates import Diverged
    from proxy_train.video.video import Video
else:
    from search_space.lazy_names import lazy_names

    _MODULES = {
        "proxy_train.clips.views": ("Views",),
        "proxy_train.data.check": ("DataCheck", "check_dataset"),
        "proxy_train.data.dataset": ("Dataset", "LeftOut", "VideoItem"),
        "proxy_train.data.settings": ("DataSettings", "load_dataset"),
        "proxy_train.evaluation.assessment": ("Assessment", "assess"),
        "proxy_train.evaluation.evaluation": ("Metrics", "Predictions", "ensemble", "evaluate", "predict"),
        "proxy_train.fidelity": ("Fidelity",),
        "proxy_train.measurement": ("Measurement",),
        "proxy_train.recipe": ("Recipe",),
        "proxy_train.store.clip_origins": ("LostVideoError",),
        "proxy_train.store.prepared_data": ("PreparedData", "prepare"),
        "proxy_train.training.initial_weights": ("InitialWeights",),
        "proxy_train.training.out_of_memory": ("OutOfMemory",),
        "proxy_train.training.epoch_progress": ("EpochReport",),
        "proxy_train.training.training": ("Training",),
        "proxy_train.training.training_run": ("EpochLine", "TrainingRun", "read_training_log"),
        "proxy_train.training.updates": ("Diverged",),
        "proxy_train.video.video": ("Video",),
    }
    __getattr__ = lazy_names(__name__, _MODULES)

__all__ = [
    "Assessment",
    "DataCheck",
    "DataSettings",
    "Dataset",
    "Diverged",
    "EpochLine",
    "EpochReport",
    "Fidelity",
    "InitialWeights",
    "LeftOut",
    "LostVideoError",
    "Measurement",
    "Metrics",
    "OutOfMemory",
    "Predictions",
    "PreparedData",
    "Recipe",
    "Training",
    "TrainingRun",
    "Video",
    "VideoItem",
    "Views",
    "assess",
    "check_dataset",
    "ensemble",
    "evaluate",
    "load_dataset",
    "predict",
    "prepare",
    "read_training_log",
]


def __dir__() -> list[str]:
    return __all__
