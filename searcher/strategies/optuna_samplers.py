"""Strategies that ask Optuna's samplers: TPE, NSGA-II, NSGA-III and Gaussian processes.

A sampler is made anew for every proposal, seeded from the run's seed and the number of proposals, and shown a
study whose past is the record. Pasts are trimmed to what a sampler can learn from in the time that there is.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Container, Sequence
from typing import ClassVar

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from searcher.record.gene_params import distributions, params
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import History, Observation
from searcher.strategies.strategy import Strategy


class _PastStorage(InMemoryStorage):
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


class OptunaStrategy(Strategy):
    """What one of Optuna's samplers proposes.

    A candidate that was held at a lower rung counts as infeasible by as many rungs as it has left, so that a
    sampler learns from accuracies at full fidelity, and from the next best where those are few.
    """

    most: ClassVar[int]
    """So many measured trials are shown to the sampler."""

    def __init__(self, domain: Domain, seed: int, startup: int) -> None:
        super().__init__(domain, seed, startup)
        self._distributions = distributions(domain.genes)
        # Trials by number, with what they were made of: only speed depends on it.
        self._trials: dict[int, tuple[Observation, FrozenTrial]] = {}

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """The sampler with its settings."""

    def chosen(self, known: History) -> NDArray[np.int64]:
        """The rows of the measured proposals that the sampler is shown."""
        return known.best(self.most)

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """What the sampler wants to be tried."""
        known = self.ledger.read(history)
        shown = sorted(known.numbers[self.chosen(known)].tolist())
        shown += self.ledger.pending
        past = [self._trial(number, history[number]) for number in shown]
        self._trials = {number: self._trials[number] for number in shown}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            # Some of what is used is experimental: the warning would come with every proposal.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = self.sampler(int(rng.integers(2**31)))
            directions = [StudyDirection.MINIMIZE] * known.values.shape[1]
            study = optuna.create_study(directions=directions, sampler=sampler, storage=_PastStorage(past))
            chosen = study.ask(self._distributions).params
        return self.domain.design(tuple(int(chosen[gene.name]) for gene in self.domain.genes))

    def _trial(self, number: int, each: Observation) -> FrozenTrial:
        """A proposal as Optuna knows it."""
        known = self._trials.get(number)
        if known is not None and known[0] == each:
            return known[1]
        trial = self._new_trial(each)
        # The trial that is asked for is number 0.
        trial.number = number + 1
        self._trials[number] = each, trial
        return trial

    def _new_trial(self, each: Observation) -> FrozenTrial:
        chosen = params(self.domain.genes, each.genotype)
        if each.values is None:
            return create_trial(state=TrialState.RUNNING, params=chosen, distributions=self._distributions)
        return create_trial(
            params=chosen,
            distributions=self._distributions,
            values=list(each.values),
            constraints={"fidelity": float(each.rungs_left), "violation": each.violation},
        )


class Tpe(OptunaStrategy):
    """The tree-structured Parzen estimator, multivariate and grouped; pending candidates count as bad."""

    most = 400

    def sampler(self, seed: int) -> BaseSampler:
        """See the class."""
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=1, seed=seed
        )

    def chosen(self, known: History) -> NDArray[np.int64]:
        """The best half of what fits, and of the rest an even choice: the bad say where not to go."""
        order = known.best(len(known))
        half = self.most // 2
        if len(order) <= self.most:
            return order
        places = np.linspace(half, len(order) - 1, self.most - half).astype(np.int64)
        return np.concatenate([order[:half], order[places]])


class Nsga2(OptunaStrategy):
    """NSGA-II (Deb et al. 2002) whose parents are the best of all that is known, so that nobody waits."""

    population = 20
    most = 4 * population

    def sampler(self, seed: int) -> BaseSampler:
        """See the class."""
        return optuna.samplers.NSGAIISampler(population_size=self.population, seed=seed)

    def _new_trial(self, each: Observation) -> FrozenTrial:
        return _first_generation(super()._new_trial(each), "NSGAIISampler")


class Nsga3(OptunaStrategy):
    """NSGA-III (Deb and Jain 2014), for three objectives and more, as ``Nsga2`` does it."""

    population = 20
    most = 4 * population

    def sampler(self, seed: int) -> BaseSampler:
        """See the class."""
        return optuna.samplers.NSGAIIISampler(population_size=self.population, seed=seed)

    def _new_trial(self, each: Observation) -> FrozenTrial:
        return _first_generation(super()._new_trial(each), "NSGAIIISampler")


def _first_generation(trial: FrozenTrial, sampler: str) -> FrozenTrial:
    """Marks what was measured as the generation before the one that is asked for."""
    trial.system_attrs[f"{sampler}:generation"] = 0
    return trial


class GaussianProcess(OptunaStrategy):
    """Optuna's Gaussian process sampler; it takes seconds, and sees few trials for that."""

    most = 60

    def sampler(self, seed: int) -> BaseSampler:
        """See the class."""
        return optuna.samplers.GPSampler(n_startup_trials=1, seed=seed)
