"""Data on which every network would look the same are refused before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.data.labels import Label, LabelsKind, VerbNoun
from search_space.errors import DataError

CLASSES = ("wave", "run", "fall")
ACTIONS = [VerbNoun(0, 0), VerbNoun(0, 1)]


def dataset(kind: LabelsKind, verbs: int = 0, **labels: Sequence[Label]) -> Dataset:
    items = {
        split: tuple(
            VideoItem(Path(f"{split}/{number}.mp4"), None, None, label, f"{split}/{number}", split)
            for number, label in enumerate(of_split)
        )
        for split, of_split in labels.items()
    }
    return Dataset("mine", items, CLASSES, False, labels_kind=kind, verbs=verbs)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (dataset("multi", train=[(0,), (1,)], val=[(), ()]), "its val split has 2 videos and no label"),
        (dataset("multi", train=[(0,), (1,)], val=[(0,), ()], test=[()]), "its test split has 1 videos and"),
        (dataset("multi", train=[(0,), (1,)], val=[(0, 1), (0, 1)]), "has wave, run in every video, and"),
        (dataset("multi", train=[(0,), (1,)], val=[(2,), ()]), "no class that a training video has: fall"),
        (dataset("single", train=[0, 1], val=[2, 2]), "no class that a training video has: fall"),
        (dataset("single", train=[0, 1], val=[1, 1]), "its val split has run in every video"),
        (dataset("multi", train=[(0,), (1,)], val=[(0,), ()], test=[(0,), (0,)]), "its test split has wave"),
        (dataset("single", train=[0, 1], val=[0, 1], test=[0, 0]), None),
        (dataset("multi", train=[(), ()], val=[(0,), (1,)]), "its train split has 2 videos and no label"),
        (dataset("multi", train=[(0,), (0,)], val=[(0,), (1,)]), "its train split has wave in every video"),
        (dataset("single", train=[0, 0], val=[0, 1]), "its train split has wave in every video"),
        (dataset("verb_noun", 1, train=ACTIONS, val=ACTIONS[:1], test=[]), "its val split has verb wave, "),
        (dataset("verb_noun", 1, train=ACTIONS, val=ACTIONS), None),
        (dataset("multi", train=[(0,), (1,)], val=[(0, 1)]), "its val split has wave, run in every video"),
        (dataset("multi", train=[(0,), (1,)], val=[(0,), ()], test=[(1,)]), "its test split has run in ev"),
        (dataset("multi", train=[(0,), (1,)], val=[(0, 1), (0,)]), None),
        (dataset("single", train=[0, 1], val=[0, 1]), None),
        (dataset("single", train=[0, 1], val=[0]), "its val split has wave in every video"),
    ],
)  # fmt: skip
def test_labels_that_tell_nothing_of_a_network_are_refused(data: Dataset, words: str | None) -> None:
    if words is None:
        data.require_scorable()
        return
    with pytest.raises(DataError, match=words):
        data.require_scorable()
