"""The default strategy: Optuna's multi-objective tree-structured Parzen estimator over the flat genotype."""

from __future__ import annotations

import math
import warnings
from collections.abc import Container, Sequence

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_space.architecture import Architecture
from search_space.space import Genotype, SearchSpace
from searcher.strategy import Observation, Strategy


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Optuna's view of the genes: an integer where the choices go from small to large, else a category."""
    return {
        gene.name: IntDistribution(0, gene.choices - 1)
        if gene.ordered
        else CategoricalDistribution(tuple(range(gene.choices)))
        for gene in space.genes
    }


def params(space: SearchSpace, genotype: Genotype) -> dict[str, int]:
    """A genotype as Optuna's parameters."""
    return {gene.name: int(choice) for gene, choice in zip(space.genes, genotype, strict=True)}


class _History(InMemoryStorage):
    """A storage whose only study has a given past; what is asked of it now is kept in memory.

    Adding the past trial by trial would copy each of them deeply at every proposal: a second at 1,000 trials.
    """

    def __init__(self, past: list[FrozenTrial]) -> None:
        super().__init__()
        self._past = past

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The past and what is asked now; nobody here changes them, so that they are never copied."""
        del deepcopy
        asked = super().get_all_trials(study_id, deepcopy=False)
        return [trial for trial in (*asked, *self._past) if states is None or trial.state in states]


class Tpe(Strategy):
    """TPE over (accuracy, log macs), multivariate and grouped; pending candidates count as bad.

    A candidate that was held at a lower rung counts as infeasible by as many rungs as it has left, so that
    the good half of the model is made of accuracies at full fidelity, and of the next best where those are
    few.
    """

    def __init__(self, space: SearchSpace, seed: int, startup: int, low: float, high: float) -> None:
        super().__init__(space, seed, startup, low, high)
        self._distributions = distributions(space)
        # Trials by number, with what they were made of: only speed depends on it.
        self._trials: dict[int, tuple[Observation, FrozenTrial]] = {}

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Architecture:
        """What the model expects most from."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            # "group" is experimental: the warning would come with every proposal.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=1,
                seed=int(rng.integers(2**31)),
            )
        past = [
            trial for number, each in enumerate(history) if (trial := self._trial(number, each)) is not None
        ]
        study = optuna.create_study(
            directions=["maximize", "minimize"], sampler=sampler, storage=_History(past)
        )
        chosen = study.ask(self._distributions).params
        return self.space.decode(tuple(int(chosen[gene.name]) for gene in self.space.genes))

    def _trial(self, number: int, each: Observation) -> FrozenTrial | None:
        """A proposal as Optuna knows it; None for one that says nothing."""
        known = self._trials.get(number)
        if known is not None and known[0] == each:
            return known[1]
        trial = self._new_trial(each)
        if trial is not None:
            # The trial that is asked for is number 0.
            trial.number = number + 1
            self._trials[number] = each, trial
        return trial

    def _new_trial(self, each: Observation) -> FrozenTrial | None:
        chosen = params(self.space, each.genotype)
        if each.accuracy is not None and math.isfinite(each.accuracy):
            return create_trial(
                params=chosen,
                distributions=self._distributions,
                values=[each.accuracy, math.log(each.macs)],
                constraints={"fidelity": float(each.rungs_left)},
            )
        if each.pending:
            return create_trial(state=TrialState.RUNNING, params=chosen, distributions=self._distributions)
        return None
