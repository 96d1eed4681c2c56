"""A guard against outputs that are counted otherwise than labels: one further, or one less.

Names of classes may agree while a checkpoint's outputs do not: one more for the background, a class more or
less before them in the alphabet. Its accuracy is then that of guessing, which is easily taken for the
network's fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from scipy.special import bdtrc

from search_space.errors import DataError

_LEAST_CLIPS, _LEAST_CLASSES = 30, 4
_SIGNIFICANCE = 1e-4


class ShiftGuard:
    """Counts for each class how often its clips are taken for it, and for the classes beside it.

    Args:
        names: name of each output of the group.
        group: what the outputs are, for messages: ``classes``, ``verbs``, ``nouns``.
    """

    def __init__(self, names: Sequence[str], group: str = "classes") -> None:
        self._names, self._group = names, group
        self._counts: Counter[tuple[int, int]] = Counter()
        self._clips, self._next = 0, _LEAST_CLIPS

    def add(self, label: int, predicted: int) -> None:
        """Count a clip; look again whenever the clips have doubled.

        Raises:
            DataError: see :meth:`check`.
        """
        self._counts[label, predicted - label] += 1
        self._clips += 1
        if self._clips >= self._next:
            self._next *= 2
            self.check()

    def check(self) -> None:
        """Look at all clips so far.

        Raises:
            DataError: few classes are mostly right, and most are taken for the one beside them, always on
                the same side.
        """
        labels = {label for label, _ in self._counts}
        if self._clips < _LEAST_CLIPS or len(labels) < _LEAST_CLASSES:
            return
        right = self._clips_at(0)
        for shift in (1, -1):
            shifted = self._clips_at(shift)
            chance = float(bdtrc(shifted - 1, shifted + right, 0.5)) if shifted else 1.0
            few, many = self._classes_at(0, labels), self._classes_at(shift, labels)
            if chance < _SIGNIFICANCE and many > 0.6 * len(labels) and few <= many / 4:
                self._refuse(shift, few, many, len(labels))

    def _clips_at(self, shift: int) -> int:
        return sum(count for (_, found), count in self._counts.items() if found == shift)

    def _classes_at(self, shift: int, labels: set[int]) -> int:
        """Return the number of classes of which more clips are taken for that one than for any other."""
        most: dict[int, tuple[int, int]] = {}
        for (label, found), count in self._counts.items():
            most[label] = max(most.get(label, (0, 0)), (count, found))
        return sum(most[label][1] == shift for label in labels)

    def _refuse(self, shift: int, few: int, many: int, classes: int) -> None:
        example = next(label for (label, found) in sorted(self._counts) if found == shift)
        names, side = self._names, "after" if shift > 0 else "before"
        raise DataError(
            f"outputs and labels are shifted by one: of {classes} {self._group}, whose names agree, the "
            f"network is mostly right on {few}, and takes {many} for the one {side} them, such as "
            f"{names[example]!r} for {names[example + shift]!r} ({self._clips} clips)",
            hint="give the names of the network's outputs in its own order with --labels FILE",
        )
