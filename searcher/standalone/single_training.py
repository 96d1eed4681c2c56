"""One network trained outside any run, in this process or by several at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy_train.clips.targets import head_for
from proxy_train.clips.views import Views
from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.assessment import Assessment, assess
from proxy_train.evaluation.evaluation import predict
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.checkpoint import BEST, LATEST
from proxy_train.training.distillation import Teacher
from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.pretrained import Pretrained
from proxy_train.training.training import Training
from proxy_train.training.training_run import LOG, EpochLine, TrainingRun
from proxy_train.training.widths import narrowed
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError
from search_space.files import write_json
from search_space.network.allocator import retain_freed_memory
from search_space.network.model import MoViNet, build
from search_space.progress import ProgressCallback, ignore_progress
from searcher.cluster.machine import cpus, decoders, require_device
from searcher.evaluator.clips import prepare_clip
from searcher.evaluator.run_data import final_split, finished_metrics
from searcher.objectives import Score, score_of
from searcher.standalone.group_training import train_in_group

__all__ = [
    "CHECKPOINT",
    "TRAINING_FILES",
    "Recipe",
    "SingleTraining",
    "TrainedNetwork",
    "TrainingListeners",
    "train_single",
]
CHECKPOINT = "checkpoint"
"""Name of the folder of a training, beside what it results in."""
TRAINING_FILES = (LATEST, BEST, LOG, "evaluation.json", "classes.json", "left_out.json")
"""Names of the files in it that a training replaces."""


@dataclass(frozen=True)
class SingleTraining:
    """One training of one network.

    Args:
        architecture: network to train; the videos are decoded for its input.
        data: settings of the data set.
        recipe: recipe of the training.
        folder: folder of checkpoint, best weights, log, TensorBoard events, and at the end
            ``evaluation.json``; a training that it holds is resumed.
        epochs: epochs of the whole schedule.
        seed: seed of the training.
        device: device as torch names it.
        weights: initial weights, see ``InitialWeights``; by default the network is trained from scratch.
        promoted_from: output folder of a shorter training, on a share of the data or with fewer channels,
            that this one resumes.
        processes: processes that train together, each on a GPU of its own if ``device`` is one.
        share: share of the training clips, in (0, 1].
        width: share of the network's channels, in (0, 1].
        keep_best: whether the weights of the best validation score are kept instead of the last ones; so they
            are if the recipe stops early.
        views: clips and crops that the finished network is evaluated on in addition.
        teacher: trained network of the same classes whose outputs are learned beside the labels.

    Attributes:
        horizon: fidelity of the finished training.

    Raises:
        SettingsError: epochs, share or width are out of range, the recipe needs weights and has none,
            or there is no such device.
    """

    architecture: Architecture
    data: DataSettings
    recipe: Recipe
    folder: Path
    epochs: int
    seed: int = 0
    device: str = "cpu"
    weights: Path | None = None
    promoted_from: Path | None = None
    processes: int = 1
    share: float = 1.0
    width: float = 1.0
    keep_best: bool = False
    views: Views | None = None
    teacher: Pretrained | None = None
    horizon: Fidelity = field(init=False)

    def __post_init__(self) -> None:
        require_device(self.device)
        self.recipe.check_weights(given=self.weights is not None)
        clip = self.architecture.input
        horizon = Fidelity(self.epochs, clip.frames, clip.size, self.share, self.width)
        object.__setattr__(self, "horizon", horizon)

    @property
    def facts(self) -> dict[str, str | int | float]:
        """Seed, initial weights and teacher in a few words each."""
        facts: dict[str, str | int | float] = {"seed": self.seed}
        if self.weights is not None:
            facts["weights of"] = InitialWeights(self.weights).name
        if self.teacher is not None:
            facts["teacher"] = self.teacher.name
        return facts

    def run_over(self, data: PreparedData) -> TrainingRun:
        """Return the training over the prepared videos."""
        return TrainingRun(
            self.architecture,
            data.path,
            self.recipe,
            self.horizon,
            self.seed,
            self.folder,
            self.weights,
            None if self.promoted_from is None else self.promoted_from / CHECKPOINT,
            self.teacher,
        )


@dataclass(frozen=True)
class TrainingListeners:
    """The callbacks of a single training.

    Args:
        making: function that receives the number of MovingDigits-16 clips that are made.
        preparing: function that receives the number of videos that are decoded.
        on_epoch: function that receives every finished epoch.
        on_batch: function that receives the number of updates of an epoch; not called if several processes
            train.
        say: function that receives sentences about what the training begins and ends with.
    """

    making: ProgressCallback = ignore_progress
    preparing: ProgressCallback = ignore_progress
    on_epoch: Callable[[EpochLine], None] = lambda _: None
    on_batch: ProgressCallback = ignore_progress
    say: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network, its figures, and the data that it was trained on.

    Args:
        model: network on the CPU, in evaluation mode.
        metrics: score (as ``top1``) and top-5, fractions, and for a causal network those frame by frame.
        classes: names of the classes, by label.
        data: name of the data set.
        split: split that the metrics were measured on.
        epochs: number of finished epochs.
        kept: epoch whose weights these are.
        assessments: figures with confidence intervals, by way of evaluation: ``centre``, ``views``,
            ``stream``.
    """

    model: MoViNet
    metrics: dict[str, float]
    classes: tuple[str, ...]
    data: str
    split: str
    epochs: int
    kept: int
    assessments: Mapping[str, Assessment] = field(default_factory=dict)

    @property
    def score(self) -> Score:
        """What ``metrics`` holds as ``top1``."""
        return score_of([self.metrics])

    @property
    def facts(self) -> dict[str, str | int | float]:
        """Data set and split that the figures were measured on, and the epochs of the training."""
        kept = {} if self.kept == self.epochs else {"weights of epoch": self.kept}
        return {"data set": self.data, "accuracy measured on": self.split, "epochs": self.epochs, **kept}

    def text(self) -> str:
        """Return every figure with its interval."""
        parts = [
            f"{name}, {assessment.count} clips of {self.split}:\n{assessment.text()}"
            for name, assessment in self.assessments.items()
        ]
        return "\n".join(parts)


def train_single(
    request: SingleTraining, listeners: TrainingListeners = TrainingListeners()
) -> TrainedNetwork:
    """Train one network, or resume its training; a checkpoint is written after every epoch.

    Args:
        request: description of the training.
        listeners: functions that receive progress.

    Raises:
        DataError: there are no usable videos.
        NetworkError: the weights are of another network.
        SettingsError: the teacher knows other classes, or the recipe does not fit.
        RecordError: the folder holds another training.
        Diverged: the loss is NaN.
        OutOfMemory: a batch does not fit; names the size that would.
    """
    # What is wrong with weights is said before hours of decoding.
    outputs = _outputs_of_weights(request)
    dataset = load_dataset(request.data, workers=cpus(), progress=listeners.making)
    if request.teacher is not None:
        Teacher(request.teacher, dataset.classes)
    if outputs not in (None, len(dataset.classes)):
        listeners.say(
            f"{request.weights} was trained on {outputs} classes, {dataset.name} has {len(dataset.classes)}:"
            " the classifier starts from scratch"
        )
    data = prepare_clip(dataset, request.data, request.architecture.input, decoders(), listeners.preparing)
    run = request.run_over(data)
    training = _trained(request, run, listeners)
    model, kept = training.model, training.epoch
    if request.keep_best or request.recipe.patience is not None:
        model, kept = _best_of(run, data)
    if training.epoch < request.epochs:
        listeners.say(
            f"stopped after epoch {training.epoch} of {request.epochs}: the score did not rise for"
            f" {request.recipe.patience} epochs; the weights of epoch {kept} are kept"
        )
    return _evaluated(request, model, dataset, data, (training.epoch, kept))


def _outputs_of_weights(request: SingleTraining) -> int | None:
    """Return the number of classes of the initial weights, if there are any; refuse those that do not fit."""
    if request.weights is None:
        return None
    return InitialWeights(request.weights).network(narrowed(request.architecture, request.width)).classes


def _trained(request: SingleTraining, run: TrainingRun, listeners: TrainingListeners) -> Training:
    """Return the finished training."""
    retain_freed_memory()
    training = run.begin(device=request.device)
    if request.processes == 1 or run.has_ended(training.epoch):
        run.finish(training, listeners.on_epoch, listeners.on_batch)
        return training
    threads = max(1, cpus() // request.processes)
    train_in_group(
        run, request.processes, cpus=threads, gpus=request.device != "cpu", on_epoch=listeners.on_epoch
    )
    return run.begin(device=request.device)


def _best_of(run: TrainingRun, data: PreparedData) -> tuple[MoViNet, int]:
    """Return the network with the best weights of a run, and their epoch."""
    best = run.best
    if best is None:
        raise RecordError(f"{run.folder} has no best weights", hint="train into an empty folder")
    model = build(narrowed(run.architecture, run.horizon.width), head_for(data))
    model.load_state_dict({name.removeprefix("model."): value for name, value in best.tensors.items()})
    return model.eval(), int(best.facts["epoch"])


def _evaluated(
    request: SingleTraining, model: MoViNet, dataset: Dataset, data: PreparedData, epochs: tuple[int, int]
) -> TrainedNetwork:
    """Evaluate a trained network; write its figures and the list of videos that were not used."""
    split = final_split(data.readable(dataset))
    causal, device = request.architecture.options.causal, request.device
    metrics = finished_metrics(model, data, split, streaming=causal, device=device)
    assessments = {"centre": assess(predict(model, data, split, device=device))}
    if request.views is not None:
        assessments["views"] = assess(predict(model, data, split, views=request.views, device=device))
    if causal:
        stream = predict(model, data, split, views=Views(whole=True), streaming=True, device=device)
        assessments["stream"] = assess(stream)
    figures = {name: assessment.to_json() for name, assessment in assessments.items()}
    write_json(request.folder / "evaluation.json", figures)
    dataset.write_report(request.folder, data.broken)
    return TrainedNetwork(
        model.cpu().eval(), metrics, dataset.classes, dataset.name, split, *epochs, assessments
    )
