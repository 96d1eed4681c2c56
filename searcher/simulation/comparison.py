"""Several strategies simulated on one yardstick, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from searcher.simulation.simulation import Simulated, Simulation, mean_scores
from searcher.simulation.yardsticks import yardstick
from searcher.strategies.predictor.predictor import Predictor
from searcher.strategies.registry import create_strategy, strategy_class, strategy_names

_REDUCTION = 3
_STARTUP = 16
_SLOW = ("gp",)


def compare(
    problem: str,
    strategies: Sequence[str],
    evaluations: int,
    workers: int = 1,
    seeds: int = 5,
    rungs: int = 1,
) -> Iterator[str]:
    """A table, line by line as its rows become known.

    Args:
        problem: of ``searcher.simulation.yardsticks.yardstick``.
        strategies: names; none stands for all but the slowest.
        evaluations: proposals of a search.
        workers: trainings at a time.
        seeds: searches of each strategy.
        rungs: of the synthetic space; above one, one in three goes on at each.

    Raises:
        SettingsError: there is no such problem or strategy.
    """
    for name in strategies:
        strategy_class(name)
    on = yardstick(problem, rungs=rungs)
    names = strategies or [name for name in strategy_names() if name not in _SLOW]
    reduction = _REDUCTION if on.rungs > 1 else None
    points = sorted({max(1, evaluations // 4), max(1, evaluations // 2), evaluations})
    what = "missing hypervolume, less is better" if on.gap else "hypervolume, more is better"
    yield f"{on.name}: {what}; {workers} workers, mean of {seeds} searches"
    # Of rungs, only candidates at the last one count, and nobody knows how many they will be.
    shown = points if reduction is None else []
    yield f"{'strategy':<12}" + "".join(f"{f'@{at}':>9}" for at in shown) + f"{'end':>9}{'+-':>8}  time"
    for name in names:
        found, quality = [], ""
        for seed in range(seeds):
            strategy = create_strategy(name, on.domain, seed=seed, startup=min(_STARTUP, evaluations))
            search = Simulation(
                on, strategy, evaluations, workers=workers, seed=seed, reduction=reduction, score_at=points
            )
            found.append(search.run())
            if isinstance(strategy, Predictor) and strategy.quality is not None:
                quality = f"  last predictor: {strategy.quality}"
        yield _row(name, found, shown) + quality


def _row(name: str, found: Sequence[Simulated], shown: Sequence[int]) -> str:
    means = mean_scores(found)
    ends = np.array([each.scores[max(each.scores)] for each in found])
    cells = [f"{means[at]:9.4f}" if at in means else f"{'':>9}" for at in shown]
    seconds = np.mean([each.seconds for each in found])
    return f"{name:<12}{''.join(cells)}{ends.mean():9.4f}{ends.std():8.4f}  {seconds:.4g}"
