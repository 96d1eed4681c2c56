"""One network trained outside any run: here, or by several processes at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy_train.clips.targets import head_for
from proxy_train.clips.views import Views
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.assessment import Assessment, assess
from proxy_train.evaluation.evaluation import predict
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.training_run import EpochLine, TrainingRun
from proxy_train.training.widths import narrowed
from search_space.architecture.architecture import Architecture
from search_space.errors import RecordError, SettingsError
from search_space.files import write_json
from search_space.network.allocator import retain_freed_memory
from search_space.network.model import MoViNet, build
from search_space.progress import ProgressCallback, ignore_progress
from searcher.cluster.machine import cpus
from searcher.evaluator.clips import prepare_clip
from searcher.evaluator.run_data import final_split, finished_metrics
from searcher.standalone.group_training import train_in_group


@dataclass(frozen=True)
class Extras:
    """What a single training may be told beside its schedule.

    Args:
        weights: to begin with: see ``InitialWeights``.
        promoted_from: the output folder of a shorter training, on a share of the data or with fewer channels,
            to go on from.
        processes: that train together, each on a GPU of its own if ``device`` is one.
        share: of the training clips.
        width: of the network's channels.
        keep_best: the weights with the best validation score instead of the last ones.
        views: clips and crops that the finished network is evaluated on in addition, such as ``10x3``.
    """

    weights: Path | None = None
    promoted_from: Path | None = None
    processes: int = 1
    share: float = 1.0
    width: float = 1.0
    keep_best: bool = False
    views: str | None = None

    def parsed_views(self) -> Views | None:
        """The clips and crops, or SettingsError."""
        if self.views is None:
            return None
        clips, cross, crops = self.views.partition("x")
        if not (cross and clips.isdigit() and crops.isdigit()):
            raise SettingsError(f"--views {self.views!r}", hint="write CLIPSxCROPS, such as 10x3")
        return Views(int(clips), int(crops))


@dataclass(frozen=True)
class Trained:
    """A trained network, what it can, and what it was trained on.

    Args:
        model: on the CPU, in evaluation mode.
        metrics: top-1 and top-5 (fractions), and frame by frame for a causal network.
        classes: names by label.
        data: name of the data set.
        split: that the metrics are of.
        assessments: by way of evaluation (``centre``, ``views``, ``stream``), with confidence intervals.
    """

    model: MoViNet
    metrics: dict[str, float]
    classes: tuple[str, ...]
    data: str
    split: str
    assessments: Mapping[str, Assessment] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, str | int | float]:
        """What its figures are of."""
        return {"data set": self.data, "accuracy measured on": self.split}

    def text(self) -> str:
        """Every figure with its interval."""
        parts = [
            f"{name}, {each.count} clips of {self.split}:\n{each.text()}"
            for name, each in self.assessments.items()
        ]
        return "\n".join(parts)


def train_single(
    architecture: Architecture,
    settings: DataSettings,
    recipe: Recipe,
    folder: Path,
    *,
    epochs: int,
    seed: int,
    device: str,
    making: ProgressCallback,
    preparing: ProgressCallback,
    on_epoch: Callable[[EpochLine], None],
    on_batch: ProgressCallback = ignore_progress,
    extras: Extras = Extras(),
) -> Trained:
    """Train one network; goes on from the checkpoint in ``folder``, which is written after every epoch.

    Args:
        architecture: what to train; the videos are decoded for its input.
        settings: the videos.
        recipe: how.
        folder: of checkpoint, best weights, log, TensorBoard events, and at the end ``evaluation.json``.
        epochs: of the whole schedule.
        seed: of the training.
        device: of torch.
        making: told of the clips of MovingDigits-16 that are made.
        preparing: told of the videos that are decoded.
        on_epoch: told of every finished epoch.
        on_batch: told of the updates of an epoch; not by several processes.
        extras: see there.

    Raises:
        DataError: no usable videos. RecordError: ``folder`` holds another training. Diverged: loss is NaN.
        OutOfMemory: a batch does not fit; it says what would.
    """
    views, clip = extras.parsed_views(), architecture.input
    horizon = Fidelity(epochs, clip.frames, clip.size, extras.share, extras.width)
    if extras.weights is not None:
        InitialWeights(extras.weights)  # complains before videos are decoded for hours
    dataset = load_dataset(settings, workers=cpus(), progress=making)
    data = prepare_clip(dataset, settings, clip, cpus(), preparing)
    run = TrainingRun(
        architecture,
        data.path,
        recipe,
        horizon,
        seed,
        folder,
        extras.weights,
        None if extras.promoted_from is None else extras.promoted_from / "checkpoint",
    )
    retain_freed_memory()
    training = run.begin(device=device)
    if extras.processes > 1 and training.epoch < epochs:
        threads = max(1, cpus() // extras.processes)
        train_in_group(run, extras.processes, cpus=threads, gpus=device != "cpu", on_epoch=on_epoch)
        training = run.begin(device=device)
    else:
        run.finish(training, on_epoch, on_batch)
    model = _best(run, data) if extras.keep_best else training.model
    split, causal = final_split(dataset), architecture.options.causal
    metrics = finished_metrics(model, data, split, streaming=causal, device=device)
    found = assessments(model, data, split, streaming=causal, views=views, device=device)
    write_json(folder / "evaluation.json", {name: each.to_json() for name, each in found.items()})
    dataset.write_report(folder, data.broken)
    return Trained(model.cpu().eval(), metrics, dataset.classes, dataset.name, split, found)


def assessments(
    model: MoViNet, data: PreparedData, split: str, *, streaming: bool, views: Views | None, device: str
) -> dict[str, Assessment]:
    """A network's figures with their intervals: the centre, several views, as a stream over whole videos."""
    found = {"centre": assess(predict(model, data, split, device=device))}
    if views is not None:
        found["views"] = assess(predict(model, data, split, views=views, device=device))
    if streaming:
        whole = Views(whole=True)
        found["stream"] = assess(predict(model, data, split, views=whole, streaming=True, device=device))
    return found


def _best(run: TrainingRun, data: PreparedData) -> MoViNet:
    """The network with the best weights of a run."""
    best = run.best
    if best is None:
        raise RecordError(f"{run.folder}: no best weights there", hint="train into an empty folder")
    model = build(narrowed(run.architecture, run.horizon.width), head_for(data))
    model.load_state_dict({name.removeprefix("model."): value for name, value in best.tensors.items()})
    return model.eval()
