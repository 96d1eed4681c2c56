"""The model behind the predictor: held-out predictions, expected volume, and the scale that it works on."""

from __future__ import annotations

import numpy as np
import pytest

from search_space.genes.stage_genes import Gene
from searcher.pareto import hypervolume
from searcher.strategies.predictor.acquisition import (
    Winsoriser,
    best_errors,
    expected_improvement,
    inverse_logit,
    logit,
    objective_limits,
    quadrature_nodes,
)
from searcher.strategies.predictor.gaussian_process import Covariance, Encoding, Posterior, fit_covariance

GENES = (Gene("a", tuple("01234")), Gene("b", tuple("012"), ordered=False))


def sample(count: int, seed: int = 0) -> tuple[Encoding, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    genotypes = np.column_stack([rng.integers(5, size=count), rng.integers(3, size=count)])
    encoding = Encoding(GENES, 1)
    points = encoding.points(genotypes, rng.random((count, 1)))
    return encoding, points, np.sin(genotypes[:, 0]) + (genotypes[:, 1] == 1) + 0.1 * rng.normal(size=count)


def test_held_out_predictions_are_those_of_a_process_that_never_saw_the_measurement() -> None:
    encoding, points, targets = sample(12)
    covariance = Covariance(np.array([1.0, 2.0, 0.5]), 1.3, 0.1)
    # A flat trend and one scale: only what is predicted from the others is compared.
    scale = float((targets - encoding.linear_basis(points) @ encoding.fit_trend(points, targets)).std())
    trend = encoding.linear_basis(points) @ encoding.fit_trend(points, targets)
    matrix = covariance(encoding, points, points) + (0.1 + 1e-5) * np.eye(12)
    rest = (targets - trend) / scale
    for left_out, predicted in enumerate(Posterior(encoding, covariance, points, targets).leave_one_out()):
        others = np.arange(12) != left_out
        weights = np.linalg.solve(matrix[np.ix_(others, others)], rest[others])
        expected = matrix[left_out, others] @ weights * scale + trend[left_out]
        assert predicted == pytest.approx(expected, abs=1e-8)


def test_a_fitted_process_predicts_what_it_has_not_seen_and_knows_how_well() -> None:
    encoding, points, targets = sample(80)
    _, new, truth = sample(60, seed=1)
    rest = targets - encoding.linear_basis(points) @ encoding.fit_trend(points, targets)
    covariance = fit_covariance(encoding, points, rest / rest.std())
    mean, deviation = Posterior(encoding, covariance, points, targets)(new)
    assert np.corrcoef(mean, truth)[0, 1] > 0.95
    assert np.mean(np.abs(mean - truth) < 2 * np.sqrt(deviation**2 + 0.1**2)) > 0.85
    # The number beside the genotype means nothing here.
    assert covariance.inverse_squared_lengthscales[2] < covariance.inverse_squared_lengthscales[:2].min()


def test_what_is_pending_is_known_better() -> None:
    encoding, points, targets = sample(10)
    covariance = Covariance(np.array([1.0, 1.0, 1.0]), 1.0, 0.01)
    far = points[:1] + np.array([[0.0, 0.0, 3.0]])
    before = Posterior(encoding, covariance, points, targets)(far)
    after = Posterior(encoding, covariance, points, targets, far)(far)
    assert after[0] == pytest.approx(before[0], abs=0.05)
    assert after[1][0] < 0.3 * before[1][0]


@pytest.mark.parametrize("others", [1, 2])
def test_expected_improvement_of_a_certain_outcome_is_the_volume_that_it_adds(others: int) -> None:
    rng = np.random.default_rng(0)
    done = rng.random((6, 1 + others))
    new = rng.random((8, 1 + others))
    within = objective_limits(others)
    reached = best_errors(within, done[:, 0], done[:, 1:], reference=1.0)
    certain = inverse_logit(quadrature_nodes(logit(new[:, 0]), np.zeros(8)))
    found = expected_improvement(within, reached, certain, new[:, 1:])
    corner = [1.0] * (1 + others)
    before = hypervolume(done, corner)
    for gain, point in zip(found, new, strict=True):
        assert gain == pytest.approx(hypervolume(np.vstack([done, point]), corner) - before, abs=0.01)


def test_expected_improvement_is_the_mean_over_outcomes() -> None:
    within, rng = objective_limits(1), np.random.default_rng(0)
    reached = best_errors(within, np.array([0.5]), np.array([[0.3]]), reference=1.0)
    place = np.array([[0.6]])
    expected = expected_improvement(
        within, reached, inverse_logit(quadrature_nodes(np.array([0.2]), np.array([0.7]))), place
    )
    drawn = inverse_logit(0.2 + 0.7 * rng.normal(size=20_000))
    assert expected[0] == pytest.approx(0.4 * np.maximum(0.5 - drawn, 0).mean(), rel=0.05)


def test_winsorisation_keeps_order_and_can_be_inverted() -> None:
    scale = np.linspace(-3, 5, 50)
    winsoriser = Winsoriser.of(np.array([-2.0, -1.5, -1.0, 0.5, 4.0]))
    assert winsoriser.knee == 0.0
    assert (np.diff(winsoriser(scale)) > 0).all() and winsoriser(scale).max() < scale.max()
    assert winsoriser.invert(winsoriser(scale)) == pytest.approx(scale)
