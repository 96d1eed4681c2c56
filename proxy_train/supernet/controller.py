"""The controller of TuNAS: a policy over a space's genes that learns from rewards (Bender et al., CVPR 2020).

Every gene has a categorical distribution of its own. A network's reward is its accuracy less a multiple of
what its cost misses the target by, the absolute reward of that paper; the policy's gradient is REINFORCE's,
with the moving average of the rewards as baseline. Genes that a network does not use leave its probability
alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_space.architecture.architecture import Architecture
from search_space.genes.space_genes import Genotype
from search_space.space.space import SearchSpace

Floats = NDArray[np.float64]
BASELINE_DECAY = 0.95
SQUARE_DECAY = 0.999
_EPSILON = 1e-8


class Controller:
    """The policy of a search for one network at a target cost; at first all choices are alike.

    Args:
        space: the search space, with the data's number of classes.
        target: multiply-adds that the network is to have.
        penalty: weight of the relative distance from the target in the reward; below 0.

    Attributes:
        steps: number of rewards that it has learnt from.
    """

    def __init__(self, space: SearchSpace, target: float, penalty: float) -> None:
        self.space, self.target, self.penalty, self.steps = space, target, penalty, 0
        self._logits = [np.zeros(gene.choices) for gene in space.genes]
        self._squares = [np.zeros(gene.choices) for gene in space.genes]
        self._baseline = 0.0

    @property
    def probabilities(self) -> list[Floats]:
        """Probabilities of each gene's choices."""
        return [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for row in self._logits]

    def sample(self, rng: np.random.Generator) -> Genotype:
        """Draw a genotype from the policy."""
        return tuple(int(rng.choice(len(row), p=row)) for row in self.probabilities)

    def best(self) -> Architecture:
        """Return the network of every gene's most probable choice."""
        return self.space.decode([int(row.argmax()) for row in self._logits])

    def reward(self, architecture: Architecture, accuracy: float) -> float:
        """Return the absolute reward of a network."""
        return accuracy + self.penalty * abs(self.space.macs(architecture) / self.target - 1)

    def learn(self, genotype: Genotype, accuracy: float, rate: float) -> float:
        """Make the choices of a network more or less probable by its reward; return the reward.

        Args:
            genotype: the network, as drawn.
            accuracy: its accuracy on clips that the weights are not trained on, a fraction.
            rate: learning rate of this step.
        """
        architecture = self.space.decode(genotype)
        reward = self.reward(architecture, accuracy)
        self._baseline = (
            reward if self.steps == 0 else BASELINE_DECAY * self._baseline + (1 - BASELINE_DECAY) * reward
        )
        self.steps += 1
        advantage, active = reward - self._baseline, self._active(genotype)
        for place, (probabilities, choice) in enumerate(zip(self.probabilities, genotype, strict=True)):
            gradient = np.zeros_like(probabilities)
            if place in active:
                gradient = -advantage * probabilities
                gradient[choice] += advantage
            # Adam without a first moment, as published.
            self._squares[place] *= SQUARE_DECAY
            self._squares[place] += (1 - SQUARE_DECAY) * gradient**2
            scale = np.sqrt(self._squares[place] / (1 - SQUARE_DECAY**self.steps)) + _EPSILON
            self._logits[place] += rate * gradient / scale
        return reward

    def _active(self, genotype: Genotype) -> set[int]:
        """Return the positions of the genes that the network uses."""
        choices = self.space.choices
        varying = [place for place, gene in enumerate(choices.genes) if gene.choices > 1]
        values = [0] * len(choices.genes)
        for place, value in zip(varying, genotype, strict=True):
            values[place] = value
        used = set(choices.active(values))
        return {position for position, place in enumerate(varying) if place in used}

    def tensors(self) -> dict[str, Tensor]:
        """Return the state that ``restore`` takes."""
        state = {f"logits.{place}": torch.from_numpy(row.copy()) for place, row in enumerate(self._logits)}
        state |= {f"squares.{place}": torch.from_numpy(row.copy()) for place, row in enumerate(self._squares)}
        more = torch.tensor([self._baseline, float(self.steps)], dtype=torch.float64)
        return state | {"more": more}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the state that ``tensors`` returned."""
        self._logits = [state[f"logits.{place}"].numpy().copy() for place in range(len(self._logits))]
        self._squares = [state[f"squares.{place}"].numpy().copy() for place in range(len(self._squares))]
        self._baseline, steps = state["more"].tolist()
        self.steps = int(steps)
