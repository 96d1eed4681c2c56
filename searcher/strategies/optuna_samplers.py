"""Strategies that ask Optuna's samplers: TPE, NSGA-II, NSGA-III and Gaussian processes.

Every proposal has a new sampler, seeded from the run's seed and the number of proposals, and a study whose
past is the record. The past is limited to the trials that a sampler can learn from in reasonable time.
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
from searcher.record.optuna_logging import quiet_optuna
from searcher.strategies.domain import Design, Domain
from searcher.strategies.history import History, Observation
from searcher.strategies.strategy import Strategy


class _PastStorage(InMemoryStorage):
    """A storage whose only study has a given past, and one new trial in memory.

    Adding the past trial by trial would copy each of them deeply at every proposal: a second at 1,000 trials.

    Args:
        past: finished and pending trials.
    """

    def __init__(self, past: list[FrozenTrial]) -> None:
        super().__init__()
        self._past = past

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the new trial and the past, without copies: no sampler changes them."""
        del deepcopy
        asked = super().get_all_trials(study_id, deepcopy=False)
        return [trial for trial in (*asked, *self._past) if states is None or trial.state in states]


class OptunaStrategy(Strategy):
    """A strategy that asks one of Optuna's samplers.

    A candidate that was held at a lower rung counts as infeasible by the number of rungs that it has left: a
    sampler then learns from accuracies at full fidelity, and from the next best where those are few.
    """

    shown_limit: ClassVar[int]
    """Most measured trials that the sampler is shown."""

    def __init__(self, domain: Domain, seed: int, startup: int) -> None:
        super().__init__(domain, seed, startup)
        self._distributions = distributions(domain.genes)
        # Trials by number, with the observations that they were made of; they only save time.
        self._trials: dict[int, tuple[Observation, FrozenTrial]] = {}

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its settings."""

    def shown_rows(self, measured: History) -> NDArray[np.int64]:
        """Return the rows of the measured proposals that the sampler is shown."""
        return measured.best(self.shown_limit)

    def idea(self, history: Sequence[Observation], rng: np.random.Generator) -> Design:
        """Return the sampler's proposal."""
        measured = self.ledger.read(history)
        shown = sorted(measured.numbers[self.shown_rows(measured)].tolist())
        shown += self.ledger.pending
        past = [self._trial(number, history[number]) for number in shown]
        self._trials = {number: self._trials[number] for number in shown}
        with quiet_optuna(), warnings.catch_warnings():
            # Some of these features are experimental: every proposal would repeat the warning.
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = self.sampler(int(rng.integers(2**31)))
            directions = [StudyDirection.MINIMIZE] * measured.values.shape[1]
            study = optuna.create_study(directions=directions, sampler=sampler, storage=_PastStorage(past))
            asked = study.ask(self._distributions).params
        return self.domain.design(tuple(int(asked[gene.name]) for gene in self.domain.genes))

    def _trial(self, number: int, observation: Observation) -> FrozenTrial:
        """Return a proposal as a trial of Optuna."""
        earlier = self._trials.get(number)
        if earlier is not None and earlier[0] == observation:
            return earlier[1]
        trial = self._new_trial(observation)
        # The new trial is number 0.
        trial.number = number + 1
        self._trials[number] = observation, trial
        return trial

    def _new_trial(self, observation: Observation) -> FrozenTrial:
        gene_params = params(self.domain.genes, observation.genotype)
        if observation.values is None:
            return create_trial(
                state=TrialState.RUNNING, params=gene_params, distributions=self._distributions
            )
        return create_trial(
            params=gene_params,
            distributions=self._distributions,
            values=list(observation.values),
            constraints={"fidelity": float(observation.rungs_left), "violation": observation.violation},
        )


class Tpe(OptunaStrategy):
    """The tree-structured Parzen estimator, multivariate and grouped; pending candidates count as bad."""

    shown_limit = 400

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its settings."""
        return optuna.samplers.TPESampler(
            multivariate=True, group=True, constant_liar=True, n_startup_trials=1, seed=seed
        )

    def shown_rows(self, measured: History) -> NDArray[np.int64]:
        """Return the best rows and an even selection of the rest, half of the limit each.

        The estimator needs bad trials as well as good ones.
        """
        order = measured.best(len(measured))
        half = self.shown_limit // 2
        if len(order) <= self.shown_limit:
            return order
        places = np.linspace(half, len(order) - 1, self.shown_limit - half).astype(np.int64)
        return np.concatenate([order[:half], order[places]])


class Nsga2(OptunaStrategy):
    """NSGA-II (Deb et al. 2002), with the best of all measured proposals as parents: no worker waits."""

    population = 20
    shown_limit = 4 * population

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its settings."""
        return optuna.samplers.NSGAIISampler(population_size=self.population, seed=seed)

    def _new_trial(self, observation: Observation) -> FrozenTrial:
        return _first_generation(super()._new_trial(observation), "NSGAIISampler")


class Nsga3(OptunaStrategy):
    """NSGA-III (Deb and Jain 2014), for three objectives and more, with parents as in ``Nsga2``."""

    population = 20
    shown_limit = 4 * population

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its settings."""
        return optuna.samplers.NSGAIIISampler(population_size=self.population, seed=seed)

    def _new_trial(self, observation: Observation) -> FrozenTrial:
        return _first_generation(super()._new_trial(observation), "NSGAIIISampler")


def _first_generation(trial: FrozenTrial, sampler: str) -> FrozenTrial:
    """Mark a measured trial as a member of the generation before the new one."""
    trial.system_attrs[f"{sampler}:generation"] = 0
    return trial


class GaussianProcess(OptunaStrategy):
    """Optuna's Gaussian process sampler, shown few trials since it takes seconds a proposal."""

    shown_limit = 60

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its settings."""
        return optuna.samplers.GPSampler(n_startup_trials=1, seed=seed)
