"""Pareto arithmetic over points to minimise: dominance, ranks, crowding, exact hypervolume.

Every function takes ``points`` of shape (n, d), one row a candidate, every column to minimise. A row with a
NaN is a candidate that failed: it dominates nothing, is on no front, and adds no volume. Fronts, ranks and
volumes are those of moocore, which is written in C and takes any number of columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]
_HUGE = 1e300


def _as_points(points: ArrayLike) -> Points:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"points must have the shape (n, d) with d > 0, not {array.shape}")
    return array


def _comparable(array: Points) -> Points:
    """Return points of the same dominance that moocore takes: two columns at least, and no huge values.

    A constant column changes nothing, nor do ranks in the place of values. moocore ends the process at -inf.
    """
    if np.abs(array).max() > _HUGE:
        array = np.column_stack([np.unique(column, return_inverse=True)[1] for column in array.T]).astype(
            float
        )
    return np.column_stack([array, np.zeros(len(array))]) if array.shape[1] == 1 else array


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Return which points no other point dominates; equal points stand or fall together.

    Args:
        points: points (n, d), minimised.

    Returns:
        A mask of shape (n,).
    """
    array = _as_points(points)
    mask = np.zeros(len(array), dtype=bool)
    valid = ~np.isnan(array).any(axis=1)
    if valid.any():
        mask[valid] = moocore.is_nondominated(_comparable(array[valid]), keep_weakly=True)
    return mask


def ranks(points: ArrayLike) -> NDArray[np.int64]:
    """Return the front that each point is on: 0 for the non-dominated ones, 1 once those are gone, and so on.

    Args:
        points: points (n, d), minimised.

    Returns:
        Ranks of shape (n,); rows with a NaN share one rank behind all others.
    """
    array = _as_points(points)
    result = np.zeros(len(array), dtype=np.int64)
    valid = ~np.isnan(array).any(axis=1)
    if valid.any():
        result[valid] = moocore.pareto_rank(_comparable(array[valid]))
        result[~valid] = result[valid].max() + 1
    return result


def crowding(points: ArrayLike) -> Points:
    """Return the distance between each point's neighbours on its front (Deb et al. 2002); infinite at the
    ends.

    Args:
        points: points (n, d) of one front or of many: each front is measured by itself.

    Returns:
        Distances of shape (n,), every column scaled to its range on the front; rows with a NaN have 0.
    """
    array = _as_points(points)
    result = np.zeros(len(array))
    front_of = ranks(array)
    for rank in np.unique(front_of):
        members = np.flatnonzero(front_of == rank)
        if not np.isnan(array[members]).any():
            result[members] = _crowding_of_front(array[members])
    return result


def _crowding_of_front(front: Points) -> Points:
    distance = np.zeros(len(front))
    for column in front.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[0]] = distance[order[-1]] = np.inf
        if len(front) > 2 and span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def best_first(points: ArrayLike) -> NDArray[np.int64]:
    """Return indices from the best to the worst: by rank, within a rank by crowding, then by position."""
    array = _as_points(points)
    return np.lexsort((np.arange(len(array)), -crowding(array), ranks(array))).astype(np.int64)


def hypervolume(points: ArrayLike, reference: Sequence[float]) -> float:
    """Return the exact volume between the front of ``points`` and ``reference``.

    Args:
        points: points (n, d), minimised; those that are not below the reference add nothing.
        reference: worst corner, one value a column.

    Raises:
        ValueError: the reference has another number of values than the points have columns.
    """
    corner = np.asarray(reference, dtype=np.float64)
    array = _as_points(points) if np.size(points) else np.empty((0, corner.size))
    if array.shape[1] != corner.size:
        raise ValueError(f"{array.shape[1]} columns need as many references, not {corner.size}")
    array = array[(array < corner).all(axis=1)]
    if not len(array):
        return 0.0
    if array.min() < -_HUGE:
        return math.inf
    if corner.size == 1:
        return float(corner[0] - array.min())
    return float(moocore.hypervolume(array, ref=corner))
