"""TuNAS: shared weights and a controller that learn in turn (Bender et al., CVPR 2020, arXiv 2008.06120).

Each step draws a network from the policy and updates its weights on training clips; then it draws another
one, and the policy learns from its accuracy on clips that the weights are not trained on, with batch norm in
batch mode. In the first quarter the policy is frozen, and networks get their largest widths with a
probability that falls from 1 to 0. The other published warm-up, which averages all kernels of a layer, is
left out: one network at a time is in memory here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import count, islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxy_train.clips.batches import Batch, Batches
from proxy_train.evaluation import metrics
from proxy_train.evaluation.evaluation import Metrics
from proxy_train.evaluation.metrics import Flags
from proxy_train.store.prepared_data import PreparedData
from proxy_train.supernet.controller import Controller
from proxy_train.supernet.training import SupernetTraining
from proxy_train.training.epoch_progress import Departure, EpochProgress, EpochReport
from proxy_train.training.training import share_of
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.errors import SettingsError
from search_space.files import write_json
from search_space.genes.space_genes import Genotype
from search_space.network.heads import Head
from search_space.progress import ProgressCallback, ignore_progress

CONTROLLER = "controller.json"
"""File of the policy, in the folder of the training."""
WARM_UP = 0.25
HELD_OUT = 0.2
"""Share of each class's training clips that only the controller sees."""
BATCHES = 4
"""Batches of a reward: the controller's is four times the weights'."""
_WIDTHS = ("stem", "width", "expansion", "head", "hidden")


class TunasTraining(SupernetTraining):
    """A training of shared weights and of a controller that looks for the best network at a target cost.

    Its parameters are those of ``SupernetTraining``; ``settings.target`` is given.

    Attributes:
        controller: the policy.

    Raises:
        SettingsError: several processes train together, or as for ``SupernetTraining``.
    """

    def _set_up(self) -> None:
        if self._group.size > 1:
            raise SettingsError(
                f"{self._group.size} processes train a supernet with a controller",
                hint="set search.gpus_per_trial to 1 or less: each would learn a policy of its own",
            )
        settings = self.settings
        assert settings.target is not None, "that is what the controller looks for"
        self.controller = Controller(self.space, settings.target, settings.penalty)
        self._held_out = {
            clip: Batches(data, self.recipe, self._held(data), self.seed + number, None)
            for number, (clip, data) in enumerate(self._stores.items())
        }

    @cached_property
    def watched(self) -> dict[str, Architecture]:
        """The networks of ``SupernetTraining.watched``, and the largest: ``evaluate`` is of another one."""
        return {**super().watched, "largest": self.space.largest()}

    def evaluate(self, architecture: Architecture | None = None, split: str = "val") -> Metrics:
        """Evaluate a network with the present weights, by default the most probable one."""
        return super().evaluate(architecture or self.controller.best(), split)

    def train_epoch(self, on_batch: ProgressCallback = ignore_progress) -> EpochReport:
        """Make the updates of one epoch, of weights and controller in turn; see ``SupernetTraining``."""
        self._require_unfinished()
        done, departure = self._progress, Departure(self.device, self._group)
        began, total, rate = time.perf_counter() - done.seconds, done.loss(self.device), 0.0
        used = Counter(done.counts)
        batches = {
            clip: islice(each.epoch(self.epoch)[1], used[f"weights {clip}"], None)
            for clip, each in self._batches.items()
        }
        rewards = {
            clip: islice(self._endless(each), used[f"policy {clip}"], None)
            for clip, each in self._held_out.items()
        }
        for number in range(done.updates, self.steps_an_epoch):
            step = self.epoch * self.steps_an_epoch + number
            progress = step / (self.steps_an_epoch * self.settings.epochs)
            rng, rate = np.random.default_rng([self.seed, step]), self._rate(step)
            drawn = self.space.decode(self._widened(self.controller.sample(rng), progress, rng))
            total += self._update([drawn], next(batches[drawn.input]).to(self.device), rate)
            used[f"weights {drawn.input}"] += 1
            if progress >= WARM_UP:
                used[f"policy {self._learn(rewards, progress, rng)}"] += BATCHES
            on_batch(number + 1, self.steps_an_epoch)
            if departure.is_due() and number + 1 < self.steps_an_epoch:
                seconds, tensors = time.perf_counter() - began, {"loss": total}
                self._leave(EpochProgress(number + 1, seconds, counts=used, tensors=tensors))
        return self._finish_epoch(total, rate, began, 0.0)

    def save(self) -> None:
        """Replace the folder's checkpoint and ``controller.json``; do nothing without a folder."""
        super().save()
        if self.folder is not None:
            policy = [row.tolist() for row in self.controller.probabilities]
            names = [gene.name for gene in self.space.genes]
            best = self.controller.best()
            content = {"architecture": best.text, "macs": self.space.macs(best)}
            write_json(self.folder / CONTROLLER, content | {"genes": names, "policy": policy})

    def _learn(
        self, rewards: Mapping[ClipShape, Iterator[Batch]], progress: float, rng: np.random.Generator
    ) -> ClipShape:
        """Let the controller learn from another network's accuracy; return the shape of its clips."""
        genotype = self.controller.sample(rng)
        architecture = self.space.decode(genotype)
        network = self.supernet.network(architecture).train()
        self.supernet.load_into(network)
        with torch.no_grad(), self._autocast():
            batches = list(islice(rewards[architecture.input], BATCHES))
            logits = torch.cat([network(batch.to(self.device).clips) for batch in batches])
        # The only value that an update reads: the next network is drawn from what the policy makes of it.
        labels = torch.cat([batch.labels.own for batch in batches])
        hits = right_answers(self.supernet.head_type, logits, labels)
        # The rate grows tenfold over the part in which the controller learns.
        rate = self.settings.controller_rate * 10 ** ((progress - WARM_UP) / (1 - WARM_UP))
        self.controller.learn(genotype, int(hits.sum()) / len(hits), rate)
        return architecture.input

    def _widened(self, genotype: Genotype, progress: float, rng: np.random.Generator) -> Genotype:
        """Return a genotype with the largest widths, with the warm-up's probability."""
        if rng.random() >= 1 - progress / WARM_UP:
            return genotype
        return tuple(
            gene.choices - 1 if gene.name.rpartition(".")[2] in _WIDTHS else value
            for gene, value in zip(self.space.genes, genotype, strict=True)
        )

    def _endless(self, batches: Batches) -> Iterator[Batch]:
        """Yield batches for the controller, of this epoch of the training alone."""
        for turn in count():
            yield from batches.epoch(self.epoch * 2**16 + turn)[1]

    def _clips(self, data: PreparedData) -> npt.NDArray[np.int64]:
        """Return the indices of the training clips that the weights are trained on."""
        return share_of(data.split("train"), 1 - HELD_OUT)

    def _held(self, data: PreparedData) -> npt.NDArray[np.int64]:
        held = np.setdiff1d(np.arange(len(data.split("train"))), self._clips(data))
        if not len(held):
            raise SettingsError(
                "every class has too few training clips to keep one in five for the controller",
                hint="use more videos, or a supernet without a target",
            )
        return held

    def _tensors(self) -> dict[str, Tensor]:
        own = {f"controller.{name}": value for name, value in self.controller.tensors().items()}
        return super()._tensors() | own

    def _load(self, tensors: Mapping[str, Tensor]) -> None:
        super()._load(tensors)
        prefix = "controller."
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        self.controller.restore(own)


def right_answers(head: Head, logits: Tensor, labels: Tensor) -> Flags:
    """Return which clips are classified rightly, as ``Metrics.top1`` counts: (batch,).

    Args:
        head: meaning of the outputs.
        logits: outputs of a network, (batch, outputs).
        labels: the clips' own labels, as the head takes them.
    """
    scores = [part.double().numpy() for part in head.probabilities(logits.cpu())]
    own = labels.cpu().numpy()
    if head.kind == "multi-label":
        return metrics.any_hits(scores[0], own > 0.5, 1)
    if head.kind == "verb-noun":
        return metrics.action_hits(scores[0], scores[1], own, 1)
    return metrics.hits(scores[0], own, 1)
