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
_LEFT_OUT = ("gp", "tunas")  # one is slow, the other proposes what a supernet's controller has learnt


def compare(
    problem: str,
    strategies: Sequence[str],
    evaluations: int,
    workers: int = 1,
    seeds: int = 5,
    rungs: int = 1,
) -> Iterator[str]:
    """Yield the lines of a table, one strategy a line, as soon as it is simulated.

    Args:
        problem: name of a yardstick; see ``searcher.simulation.yardsticks.yardstick``.
        strategies: names of the strategies; by default all but the slowest.
        evaluations: number of proposals of a search.
        workers: number of trainings at a time.
        seeds: number of searches of each strategy.
        rungs: number of rungs of the synthetic space; each promotes one in three candidates.

    Raises:
        SettingsError: there is no yardstick or strategy of that name.
    """
    for name in strategies:
        strategy_class(name)
    problem_yardstick = yardstick(problem, rungs=rungs)
    names = strategies or [name for name in strategy_names() if name not in _LEFT_OUT]
    reduction = _REDUCTION if problem_yardstick.rungs > 1 else None
    checkpoints = sorted({max(1, evaluations // 4), max(1, evaluations // 2), evaluations})
    measure = (
        "missing hypervolume, less is better" if problem_yardstick.gap else "hypervolume, more is better"
    )
    yield f"{problem_yardstick.name}: {measure}; {workers} workers, mean of {seeds} searches"
    # With rungs, only candidates at the last one count, whose number is not known in advance.
    shown = checkpoints if reduction is None else []
    width = max(12, *(len(name) for name in names))
    yield f"{'strategy':<{width}}" + "".join(f"{f'@{at}':>9}" for at in shown) + f"{'end':>9}{'+-':>8}  time"
    for name in names:
        searches, quality = [], ""
        for seed in range(seeds):
            strategy = create_strategy(
                name, problem_yardstick.domain, seed=seed, startup=min(_STARTUP, evaluations)
            )
            search = Simulation(
                problem_yardstick,
                strategy,
                evaluations,
                workers=workers,
                seed=seed,
                reduction=reduction,
                score_at=checkpoints,
            )
            searches.append(search.run())
            if isinstance(strategy, Predictor) and strategy.quality is not None:
                quality = f"  last predictor: {strategy.quality}"
        yield _row(f"{name:<{width}}", searches, shown) + quality


def _row(name: str, searches: Sequence[Simulated], shown: Sequence[int]) -> str:
    """Return the line of a strategy whose padded name is given: mean scores, the spread of the last one, and
    the simulated time."""
    means = mean_scores(searches)
    ends = np.array([search.scores[max(search.scores)] for search in searches])
    cells = [f"{means[at]:9.4f}" if at in means else f"{'':>9}" for at in shown]
    seconds = np.mean([search.seconds for search in searches])
    return f"{name}{''.join(cells)}{ends.mean():9.4f}{ends.std():8.4f}  {seconds:.4g}"
