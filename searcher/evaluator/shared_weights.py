"""The supernet of a run on a worker: its training, the networks in it, and initial weights of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_train.clips.targets import head_for
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.supernet.settings import SupernetSettings
from proxy_train.supernet.training import SupernetTraining, inherited
from proxy_train.supernet.tunas import TunasTraining
from proxy_train.training.initial_weights import WeightSource
from search_space.architecture.parts import ClipShape
from search_space.errors import RecordError
from search_space.files import sha256
from search_space.network.model import MoViNet
from search_space.network.weights import load_weights
from search_space.space.space import SearchSpace
from search_space.supernet.supernet import Supernet
from searcher.cluster.checkpoint_mirror import Mirror
from searcher.plan.job import Job

DIGITS = 8
"""Hexadecimal digits of a digest that a fidelity has."""


@dataclass(frozen=True)
class SupernetSpec:
    """The supernet of a run, as its evaluator knows it.

    Args:
        space: search space, with the data set's number of classes.
        settings: settings of the shared weights' training.
        weights: file of the trained weights, which exists once they are trained.
        mirror: address of the checkpoints in an object store; None if the run's folder has them.
    """

    space: SearchSpace
    settings: SupernetSettings
    weights: Path
    mirror: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON types that ``from_json`` reads."""
        return {
            "space": self.space.to_dict(),
            "settings": self.settings.model_dump(mode="json"),
            "weights": str(self.weights.absolute()),
            "mirror": self.mirror,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SupernetSpec:
        """Return what ``to_json`` wrote."""
        return cls(
            SearchSpace.from_dict(data["space"]),
            SupernetSettings.model_validate(data["settings"]),
            Path(data["weights"]),
            data["mirror"],
        )


def digest_of(weights: Path) -> str:
    """Return the digest of a file of weights, as a fidelity has it."""
    return sha256(weights)[:DIGITS]


class SharedWeights:
    """The supernet of a run on this worker; the trained weights are read once.

    Args:
        spec: the supernet.
        recipe: recipe of the run.
        device: device of torch.
    """

    def __init__(self, spec: SupernetSpec, recipe: Recipe, device: str) -> None:
        self._spec, self._recipe, self._device = spec, recipe, device
        self._trained: tuple[str, Supernet] | None = None

    def training(
        self,
        job: Job,
        stores: Mapping[ClipShape, PreparedData],
        initial: WeightSource | None,
        group: Group | None,
    ) -> SupernetTraining:
        """Return the training of the shared weights, which resumes from the job's folder."""
        kind = SupernetTraining if self._spec.settings.target is None else TunasTraining
        return kind(
            self._spec.space,
            stores,
            self._recipe,
            self._spec.settings,
            seed=job.seed,
            folder=job.folder,
            device=self._device,
            group=group,
            initial=initial,
        )

    def network(self, job: Job, data: PreparedData) -> MoViNet:
        """Return the network of a job with the trained weights, and statistics estimated for it.

        Raises:
            RecordError: the trained weights are missing, or others than those that the job names.
        """
        supernet = self._supernet(job.fidelity.weights, data)
        return inherited(supernet, job.architecture, data, self._recipe)

    def initial(self, digest: str, data: PreparedData) -> InitialSharedWeights:
        """Return the trained weights as initial ones of a network of the space; see ``network``."""
        return InitialSharedWeights(digest, self._supernet(digest, data))

    def _supernet(self, digest: str, data: PreparedData) -> Supernet:
        if self._trained is None or self._trained[0] != digest:
            weights, mirror = self._spec.weights, self._spec.mirror
            if not weights.is_file() and mirror is not None:
                Mirror(mirror).pull(weights.parent.name, weights.parent)
            if not weights.is_file() or digest_of(weights) != digest:
                raise RecordError(
                    f"{weights}: the supernet's weights that the search was begun with (digest {digest}) are"
                    " not there",
                    hint="let all machines see the run's folder, or set checkpoints to an object store; put"
                    " the file back if it was lost",
                )
            supernet = Supernet(self._spec.space, head_for(data), kernels=self._spec.settings.kernels, seed=0)
            load_weights(supernet, weights)
            self._trained = digest, supernet.to(self._device)
        return self._trained[1]


@dataclass(frozen=True)
class InitialSharedWeights:
    """A supernet's weights as the initial ones of a network in it.

    Args:
        source: digest of the shared weights.
        supernet: the shared weights.
    """

    source: str
    supernet: Supernet

    @property
    def digest(self) -> str:
        """Digest of the weights, other than that of a single network's."""
        return f"shared-{self.source}"

    def load_into(self, network: MoViNet) -> bool:
        """Copy the network's part of the weights, its classifier with it; return True."""
        self.supernet.load_into(network)
        return True
