"""Pareto arithmetic over points to minimise: dominance, ranks, crowding, exact hypervolume.

Every function takes ``points`` of shape (n, d), one row a candidate, every column to minimise. A row with a
NaN is a candidate that failed: it dominates nothing, is on no front, and adds no volume.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def _as_points(points: ArrayLike) -> Points:
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"points must have the shape (n, d) with d > 0, not {array.shape}")
    return array


def _distinct(array: Points) -> tuple[Points, NDArray[np.int64]]:
    """The distinct rows in lexicographic order, and for each row of ``array`` its index among them.

    What ``numpy.unique(axis=0)`` gives, several times faster: it compares rows as raw bytes.
    """
    order = np.lexsort(array.T[::-1])
    rows = array[order]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    inverse = np.empty(len(rows), dtype=np.int64)
    inverse[order] = np.cumsum(first) - 1
    return rows[first], inverse


def non_dominated(points: ArrayLike) -> NDArray[np.bool_]:
    """Which points no other point dominates; equal points stand or fall together.

    Args:
        points: (n, d), minimised; two columns take O(n log n), more take O(n x front).

    Returns:
        A mask of shape (n,).
    """
    array = _as_points(points)
    mask = np.zeros(len(array), dtype=bool)
    valid = np.flatnonzero(~np.isnan(array).any(axis=1))
    if valid.size:
        unique, inverse = _distinct(array[valid])
        keep = _front_2d(unique) if unique.shape[1] == 2 else _front_any(unique)
        mask[valid] = keep[inverse]
    return mask


def _front_2d(unique: Points) -> NDArray[np.bool_]:
    """The front of distinct points in lexicographic order: those lower than everything to their left."""
    second = unique[:, 1]
    keep = np.ones(len(second), dtype=bool)
    keep[1:] = second[1:] < np.minimum.accumulate(second)[:-1]
    return keep


def _front_any(unique: Points) -> NDArray[np.bool_]:
    """The front of distinct points in any dimension: each survivor throws out all that it dominates."""
    remaining = np.arange(len(unique))
    # A point with the smallest sum cannot be dominated, so that each round keeps its first point for good.
    remaining = remaining[np.argsort(unique.sum(axis=1), kind="stable")]
    keep = np.zeros(len(unique), dtype=bool)
    while remaining.size:
        first = remaining[0]
        keep[first] = True
        remaining = remaining[1:]
        remaining = remaining[(unique[remaining] < unique[first]).any(axis=1)]
    return keep


def ranks(points: ArrayLike) -> NDArray[np.int64]:
    """The front that each point is on, 0 for the non-dominated ones, in the order in which fronts peel off.

    Args:
        points: (n, d), minimised.

    Returns:
        Ranks of shape (n,); rows with a NaN share one rank behind all others.
    """
    array = _as_points(points)
    result = np.zeros(len(array), dtype=np.int64)
    valid = np.flatnonzero(~np.isnan(array).any(axis=1))
    worst = -1
    if valid.size:
        unique, inverse = _distinct(array[valid])
        ranked = _ranks_2d(unique) if unique.shape[1] == 2 else _ranks_any(unique)
        result[valid] = ranked[inverse]
        worst = int(ranked.max())
    result[np.isnan(array).any(axis=1)] = worst + 1
    return result


def _ranks_2d(unique: Points) -> NDArray[np.int64]:
    """Ranks of distinct points in lexicographic order, O(n log n).

    Whatever is to the left can only dominate by its second column, and the lowest second column of each front
    so far grows with the front's number, so that a bisection finds the first front without a dominating
    point.
    """
    lowest: list[float] = []
    result = np.zeros(len(unique), dtype=np.int64)
    for index, value in enumerate(unique[:, 1].tolist()):
        rank = bisect_right(lowest, value)
        if rank == len(lowest):
            lowest.append(value)
        else:
            lowest[rank] = value
        result[index] = rank
    return result


def _ranks_any(unique: Points) -> NDArray[np.int64]:
    result = np.zeros(len(unique), dtype=np.int64)
    left, rank = np.arange(len(unique)), 0
    while left.size:
        front = _front_any(unique[left])
        result[left[front]] = rank
        left, rank = left[~front], rank + 1
    return result


def crowding(points: ArrayLike) -> Points:
    """How far apart a point's neighbours on its front are (Deb et al. 2002); infinite at the ends.

    Args:
        points: (n, d), the points of one front or of many: each front is measured by itself.

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
    """Indices from the best to the worst: by rank, within a rank by crowding, then by position."""
    array = _as_points(points)
    return np.lexsort((np.arange(len(array)), -crowding(array), ranks(array))).astype(np.int64)


def hypervolume(points: ArrayLike, reference: Sequence[float]) -> float:
    """The exact volume between the front of ``points`` and ``reference``, for two or three columns.

    Args:
        points: (n, 2) or (n, 3), minimised; points that are not below the reference add nothing.
        reference: the worst corner, one value a column.

    Raises:
        ValueError: another number of columns, or a reference of another length.
    """
    corner = np.asarray(reference, dtype=np.float64)
    array = _as_points(points) if np.size(points) else np.empty((0, corner.size))
    if array.shape[1] != corner.size or corner.size not in (2, 3):
        raise ValueError(
            f"hypervolume takes 2 or 3 columns and as many references, not {array.shape[1]} and {corner.size}"
        )
    array = array[(array < corner).all(axis=1)]
    if not len(array):
        return 0.0
    array, _ = _distinct(array[non_dominated(array)])
    return _volume_2d(array, corner) if corner.size == 2 else _volume_3d(array, corner)


def _volume_2d(front: Points, corner: Points) -> float:
    """The area of a staircase whose steps are the front in the order of its first column."""
    right = np.append(front[1:, 0], corner[0])
    return float(np.sum((right - front[:, 0]) * (corner[1] - front[:, 1])))


def _volume_3d(front: Points, corner: Points) -> float:
    """A sweep along the third column: between two heights the cut is the staircase of everything below."""
    front = front[np.argsort(front[:, 2], kind="stable")]
    heights = np.append(front[1:, 2], corner[2])
    steps: list[tuple[float, float]] = []
    volume = 0.0
    for (first, second, height), above in zip(front.tolist(), heights.tolist(), strict=True):
        if not any(x <= first and y <= second for x, y in steps):
            steps = [step for step in steps if not (first <= step[0] and second <= step[1])]
            insort(steps, (first, second))
        if above > height:
            volume += (above - height) * _volume_2d(np.asarray(steps), corner[:2])
    return volume
