"""Three crops of whole frames, whatever their shape, from a store and from videos alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from proxy_train.clips.views import Views
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.store.prepared_data import prepare
from proxy_train.video.writing import write_video
from search_space.errors import DataError
from tests.proxy_train.store.grey_videos import grey_dataset
from tests.proxy_train.video_files import turn


def coloured(root: Path, name: str, shape: tuple[int, int]) -> Path:
    """Thirds along the long side: red, green, blue."""
    picture = np.zeros((*shape, 3), np.uint8)
    for channel, part in enumerate(np.array_split(np.arange(max(shape)), 3)):
        if shape[1] > shape[0]:
            picture[:, part, channel] = 220
        else:
            picture[part, :, channel] = 220
    write_video(root / name, [picture] * 8, crf=10, fps=8)
    return root / name


@pytest.mark.parametrize("on_demand", [False, True])
def test_three_crops_are_the_ends_and_the_middle_of_whole_frames(on_demand: bool, tmp_path: Path) -> None:
    wide, tall = coloured(tmp_path, "wide.mp4", (32, 96)), coloured(tmp_path, "tall.mp4", (96, 32))
    turned = coloured(tmp_path, "turned.mp4", (32, 96))
    turn(turned)
    items = {
        name: tuple(
            VideoItem(path, None, None, at, path.name, name) for at, path in enumerate((wide, tall, turned))
        )
        for name in ("train", "val")
    }
    dataset = Dataset("colours", items, ("a", "b", "c"), False, margin=0.125)
    data = prepare(dataset, frames=4, size=16, fps=8, cache=tmp_path, on_demand=on_demand)
    part = data.split("val")
    views = Views(clips=2, crops=3).batch(part, np.arange(3), 4, 16)
    assert views.shape == (18, 3, 4, 16, 16)
    best = views.mean((2, 3, 4)).argmax(1).reshape(3, 2, 3).tolist()
    assert best[0] == [[0, 1, 2]] * 2 and best[1] == [[0, 1, 2]] * 2, "left to right, top to bottom"
    # Turned clockwise, what was left is at the top.
    assert best[2] == [[0, 1, 2]] * 2
    centre = Views(clips=2).batch(part, np.arange(2), 4, 16)
    assert torch.equal(views[[1, 4, 7, 10]], centre)
    assert views[0].mean((1, 2, 3))[0] > 0.8, "all of the left crop is in the first third"


def test_a_store_that_does_not_know_its_videos_says_so(tmp_path: Path) -> None:
    data = prepare(grey_dataset(tmp_path, a=12, b=12, val=12), frames=4, size=16, fps=12, cache=tmp_path)
    earlier = replace(data.split("val"), origins=None)
    assert Views().batch(earlier, np.arange(1), 4, 16).shape == (1, 3, 4, 16, 16)
    with pytest.raises(DataError, match=r"three crops.*prepare it again"):
        Views(crops=3).batch(earlier, np.arange(1), 4, 16)
