"""A training from its first epoch to its last: evaluated after each, logged, its best weights kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import PlainSerializer

from proxy_train.distributed import Group
from proxy_train.fidelity import FidelityKey
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.checkpoint import BEST, LATEST, Checkpoint, is_checkpoint, read_checkpoint
from proxy_train.training.distillation import Teacher
from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.pretrained import PretrainedText
from proxy_train.training.training import Training
from search_space.architecture.json_fields import ArchitectureJson
from search_space.errors import RecordError
from search_space.json_files import from_json, to_json
from search_space.progress import ProgressCallback, ignore_progress

LOG = "log.jsonl"
_LONGEST_LINE = 100_000


@dataclass(frozen=True, slots=True)
class EpochLine:
    """The facts of an epoch: see ``EpochReport`` and ``Metrics``; ``score`` is that of the val split."""

    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    data_seconds: float
    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    best: bool = False

    def text(self, epochs: int) -> str:
        """Return one line for people, about an epoch of ``epochs``."""
        mark = ", the best so far" if self.best else ""
        return (
            f"epoch {self.epoch} of {epochs}: loss {self.loss:.4f}, {self.seconds:.1f} s, "
            f"val {100 * self.score:.1f} %{mark}"
        )


AbsolutePath = Annotated[Path, PlainSerializer(lambda path: str(path.absolute()), str)]
"""A path that stands in a JSON form from the root on: processes of other folders read it."""


@dataclass(frozen=True)
class TrainingRun:
    """Everything that decides a training; processes on other machines get it as JSON.

    Args:
        architecture: the network to train.
        data: folder of the prepared data.
        recipe: the recipe of the training.
        horizon: fidelity of the whole training.
        seed: seed of the training.
        folder: folder of checkpoints and log; the training resumes from them.
        initial: source of the initial weights.
        promoted_from: folder of a training at a lower fidelity to resume from.
        teacher: trained network whose outputs are learned beside the labels.
    """

    architecture: ArchitectureJson
    data: AbsolutePath
    recipe: Recipe
    horizon: FidelityKey
    seed: int
    folder: AbsolutePath
    initial: AbsolutePath | None = None
    promoted_from: AbsolutePath | None = None
    teacher: PretrainedText | None = None

    def to_json(self) -> str:
        """Return one line that ``from_json`` reads back."""
        return json.dumps(to_json(self))

    @classmethod
    def from_json(cls, text: str) -> TrainingRun:
        """Return the training of a line that ``to_json`` gave.

        Raises:
            RecordError: a value is missing or wrong.
        """
        return from_json(
            json.loads(text), cls, where="the training", error=RecordError, hint="describe it again"
        )

    def begin(self, *, device: str = "cpu", group: Group | None = None) -> Training:
        """Return the training as it stands in ``folder``; raise what ``Training`` raises."""
        data = PreparedData.open(self.data)
        return Training(
            self.architecture,
            data,
            self.recipe,
            horizon=self.horizon,
            seed=self.seed,
            folder=self.folder,
            device=device,
            group=group,
            initial=None if self.initial is None else InitialWeights(self.initial),
            promoted_from=self.promoted_from,
            teacher=None if self.teacher is None else Teacher(self.teacher, data.classes, device),
        )

    def finish(
        self,
        training: Training,
        on_epoch: Callable[[EpochLine], None] = lambda _: None,
        on_batch: ProgressCallback = ignore_progress,
    ) -> None:
        """Train the remaining epochs; killed at any moment and resumed, a training leaves the same files.

        With ``recipe.patience`` it stops early; ``best`` has the weights to use then.

        Args:
            training: the training, from ``begin``.
            on_epoch: callback that gets every finished epoch.
            on_batch: callback that gets the number of updates of an epoch.
        """
        leads = training.leads
        log = TrainingLog.open(self.folder, training.epoch) if leads else None
        while training.epoch < self.horizon.epochs and not training.agreed(
            log is not None and self._is_stalled(log.lines)
        ):
            report = training.train_epoch(on_batch)
            # The log comes before the checkpoint: a kill between them trains the epoch again, to the same.
            if log is not None:
                metrics = training.evaluate()
                best = metrics.score > log.best
                line = EpochLine(**asdict(report), score=metrics.score, metrics=metrics.by_name, best=best)
                if best:
                    training.save_best({"epoch": report.epoch, "score": metrics.score})
                log.add(line)
                on_epoch(line)
            training.save()
        if log is not None:
            log.close()

    def has_ended(self, epoch: int) -> bool:
        """Return whether nothing is left to train after some epochs: all are done, or it stopped early."""
        lines = [line for line in read_training_log(self.folder) if line.epoch <= epoch]
        return epoch >= self.horizon.epochs or self._is_stalled(lines)

    def _is_stalled(self, lines: Sequence[EpochLine]) -> bool:
        """Return whether the score has not risen for as many epochs as the recipe's patience.

        Epochs with a frozen trunk do not count: it is the rest of the training that they prepare.
        """
        if self.recipe.patience is None or not lines:
            return False
        best = max((line.epoch for line in lines if line.best), default=0)
        return lines[-1].epoch - max(best, self.recipe.frozen_trunk_epochs) >= self.recipe.patience

    @property
    def best(self) -> Checkpoint | None:
        """The weights after the epoch with the best score, as ``model.<name>``."""
        return read_checkpoint(self.folder, BEST)


class TrainingLog:
    """The log of a training: ``log.jsonl``, a line an epoch, and TensorBoard scalars in ``events``.

    Args:
        folder: folder of the training.
        lines: the lines that exist; those of later epochs are added.
    """

    def __init__(self, folder: Path, lines: list[EpochLine]) -> None:
        # Ray Tune depends on it; viewing needs TensorBoard itself.
        from tensorboardX import SummaryWriter

        self._path = folder / LOG
        self.lines = lines
        # A killed process takes points with it that tensorboardX had in memory, flushed or not: all that
        # there is so far is written anew, and stands in the place of earlier files.
        self._events = SummaryWriter(str(folder / "events"), purge_step=lines[0].epoch if lines else None)
        for line in lines:
            self._draw(line)

    @classmethod
    def open(cls, folder: Path, epochs: int) -> TrainingLog:
        """Return the log of a training of which ``epochs`` are finished; drop the lines of later ones."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = [line for line in read_training_log(folder) if line.epoch <= epochs]
        text = "".join(json.dumps(to_json(line)) + "\n" for line in lines)
        (folder / LOG).write_text(text, encoding="utf-8")
        return cls(folder, lines)

    @property
    def best(self) -> float:
        """The best score so far."""
        return max((line.score for line in self.lines), default=-1.0)

    def add(self, line: EpochLine) -> None:
        """Add an epoch."""
        self.lines.append(line)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(to_json(line)) + "\n")
        self._draw(line)
        self._events.flush()

    def _draw(self, line: EpochLine) -> None:
        """Add the points of an epoch."""
        scalars = {
            "train/loss": line.loss,
            "train/learning_rate": line.learning_rate,
            "train/seconds": line.seconds,
            "train/data_seconds": line.data_seconds,
        }
        for name, value in (scalars | {f"val/{key}": figure for key, figure in line.metrics.items()}).items():
            self._events.add_scalar(name, value, line.epoch)

    def close(self) -> None:
        """Close the event file."""
        self._events.close()


def read_training_log(folder: Path) -> list[EpochLine]:
    """Return the lines of a training's log; a last line that a kill tore is left out.

    Raises:
        RecordError: another line is damaged.
    """
    path = folder / LOG
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [
        _epoch_line(line, f"{path}, line {number}")
        for number, line in enumerate(text.splitlines(keepends=True), 1)
        if line.endswith("\n")
    ]


def holds_training(folder: Path) -> bool:
    """Return whether a training wrote into a folder: its checkpoint, best weights or log are there.

    One of them is enough: a checkpoint that was damaged may have been deleted, so that it is trained again.
    """
    if any(is_checkpoint(folder / name) for name in (LATEST, BEST)):
        return True
    path = folder / LOG
    try:
        if not path.is_file():
            return False
        with path.open(encoding="utf-8") as file:
            _epoch_line(file.readline(_LONGEST_LINE), str(path))
    except (OSError, ValueError, RecursionError, RecordError):
        return False
    return True


def _epoch_line(text: str, where: str) -> EpochLine:
    hint = "delete the line; the epochs are trained already"
    try:
        content = json.loads(text)
    except json.JSONDecodeError as damage:
        raise RecordError(f"{where} is damaged: {damage}", hint=hint) from damage
    return from_json(content, EpochLine, where=where, error=RecordError, hint=hint)
