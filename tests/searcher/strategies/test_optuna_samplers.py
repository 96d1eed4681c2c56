"""Optuna's public tests of samplers, on those that strategies use, set as strategies set them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from searcher.strategies.optuna_samplers import GaussianProcess, Nsga2, Nsga3, OptunaStrategy, Tpe
from searcher.testing.domains import make_domain


def sampler_of(kind: type[OptunaStrategy]) -> Callable[[], BaseSampler]:
    strategy = kind(make_domain("space"), 0, 8)

    def make() -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return strategy.sampler(0)

    return make


class TestSamplers(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    """The tests of relative sampling ask a sampler without the preparation that groups of genes need."""

    @pytest.fixture(params=[Nsga2, Nsga3, Tpe], ids=lambda kind: kind.__name__)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return sampler_of(request.param)


@pytest.mark.slow
class TestGaussianProcess(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return sampler_of(GaussianProcess)
