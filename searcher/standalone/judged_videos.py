"""The videos that a network is judged on, and its figures once they are scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from proxy_train.clips.views import Views
from proxy_train.data.dataset import Dataset, LeftOut, VideoItem
from proxy_train.data.labels import Label, Targets, VerbNoun, plain, target_array
from proxy_train.data.settings import DataSettings, load_dataset
from proxy_train.evaluation.assessment import Assessment, assess
from proxy_train.evaluation.evaluation import Predictions
from proxy_train.evaluation.video_views import ViewReader
from search_space.architecture.parts import ClipShape
from search_space.errors import DataError
from search_space.network.heads import Head, HeadKind
from search_space.progress import ProgressCallback, ignore_progress
from searcher.cluster.machine import cpus
from searcher.evaluator.run_data import final_split

__all__ = ["Assessment", "DataSettings", "JudgedVideos", "Predictions", "Views", "figures_of", "plain"]

ALL = "all"
_SHOWN = 3
_KINDS: Mapping[str, HeadKind] = {
    "single": "single-label",
    "multi": "multi-label",
    "verb_noun": "verb-noun",
}


@dataclass(frozen=True)
class JudgedVideos:
    """The labelled videos of a split.

    Args:
        dataset: data set that they are from.
        split: name of the split, or ``all``.
        items: the videos.
        missing: annotated videos of the split that do not exist.
    """

    dataset: Dataset
    split: str
    items: tuple[VideoItem, ...]
    missing: tuple[LeftOut, ...]

    @classmethod
    def open(
        cls,
        settings: DataSettings,
        split: str | None = None,
        *,
        skip_missing: bool = False,
        making: ProgressCallback = ignore_progress,
    ) -> JudgedVideos:
        """List the videos of a split.

        Args:
            settings: settings of the data set.
            split: name of the split, or ``all``; by default ``test`` if it has labels, else ``val``.
            skip_missing: whether the rest is judged on if annotated videos do not exist.
            making: function that receives the number of MovingDigits-16 clips that are made.

        Raises:
            DataError: there are no labelled videos in the split, or some do not exist.
        """
        dataset = load_dataset(settings, workers=cpus(), progress=making, trainable=False)
        name = split or final_split(dataset)
        items = (
            [item for part in dataset.items.values() for item in part]
            if name == ALL
            else dataset.items.get(name, ())
        )
        if not items:
            known = ", ".join(f"{key} ({len(part)})" for key, part in dataset.items.items() if part)
            raise DataError(
                f"data set {dataset.name}: no labelled video in its {name} split",
                hint=f"give --split; it has {known or 'none'}",
            )
        missing = tuple(entry for entry in dataset.missing if _belongs(entry.name, name, dataset))
        if missing and not skip_missing:
            shown = ", ".join(entry.name for entry in missing[:_SHOWN]) + ", ..." * (len(missing) > _SHOWN)
            raise DataError(
                f"data set {dataset.name}: {len(missing)} of {len(items) + len(missing)} annotated videos of "
                f"its {name} split do not exist: {shown}",
                hint="put them there, or judge on the others with --skip-missing",
            )
        return cls(dataset, name, tuple(items), missing)

    @property
    def kind(self) -> HeadKind:
        """Meaning of the outputs of a network for these labels."""
        return _KINDS[self.dataset.labels_kind]

    @property
    def groups(self) -> tuple[int, ...]:
        """Number of classes of each group of outputs: one, or verbs and nouns."""
        counts = self.dataset.class_counts
        return (counts,) if isinstance(counts, int) else counts

    def reader(self, clip: ClipShape, views: Views, side: int | None = None) -> ViewReader:
        """Return the reader of the videos' views for a network's clips; see ``ViewReader.of``."""
        return ViewReader.of(self.dataset, clip, views, side)

    def targets(self, ids: Sequence[str], outputs: Sequence[int], count: int) -> Targets:
        """Return the labels of videos as numbers of a network's outputs.

        Args:
            ids: identities of the videos.
            outputs: number of the output of each class.
            count: number of outputs.

        Returns:
            What ``target_array`` returns.
        """
        joined = [_joined(self._labels[name], outputs) for name in ids]
        return target_array(joined, self.dataset.labels_kind, count)

    @cached_property
    def _labels(self) -> Mapping[str, Label]:
        return {item.id: item.label for item in self.items}

    def output_labels(self, identity: str, outputs: Sequence[int]) -> tuple[int, ...]:
        """Return the label of a video as numbers of outputs, or of a verb and a noun each in its group."""
        label = _joined(self._labels[identity], outputs)
        if isinstance(label, VerbNoun):
            return label.verb, label.noun
        return label if isinstance(label, tuple) else (label,)

    def classes_of(self, items: Sequence[VideoItem] | None = None) -> set[int]:
        """Return the numbers of the classes that videos have, of single or several labels."""
        found: set[int] = set()
        for item in self.items if items is None else items:
            if not isinstance(item.label, VerbNoun):
                found.update(item.label if isinstance(item.label, tuple) else (item.label,))
        return found


def figures_of(
    logits: npt.NDArray[np.float32], targets: Targets, head: Head, ids: Sequence[str]
) -> tuple[Predictions, Assessment]:
    """Return the predictions for scored videos, and every figure of them with its interval."""
    predictions = Predictions(logits.astype(np.float64), targets, head, tuple(ids))
    return predictions, assess(predictions)


def _joined(label: Label, outputs: Sequence[int]) -> Label:
    if isinstance(label, VerbNoun):
        return label
    if isinstance(label, tuple):
        return tuple(sorted(outputs[index] for index in label))
    return outputs[label]


def _belongs(name: str, split: str, dataset: Dataset) -> bool:
    """Return whether a missing video is of a split: formats name the split, if they know it."""
    prefix, colon, _ = name.partition(":")
    known = prefix in {*dataset.items, "train", "val", "test"}
    return split == ALL or not (colon and known) or prefix == split
