"""All views of a video, cut from frames that are decoded and scaled once.

They are the views that ``Views.batch`` takes from prepared data, pixel by pixel. Views that are equal, as all
clips of a short video are, are made once, and weigh as many.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from proxy_train.clips.views import Views
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.store.decoding import Clips, DecodePlan, decode
from proxy_train.video.picture import three_corners
from search_space.architecture.parts import ClipShape
from search_space.errors import SettingsError


class Cut(NamedTuple):
    """A view's place in a video: its first frame, and the upper left corner of its square."""

    start: int
    top: int
    left: int


@dataclass(frozen=True, slots=True)
class VideoViews:
    """The different views of one video.

    Args:
        frames: uint8 (frames, height, width, 3).
        length: number of frames of a view; a video that is too short starts over.
        size: pixels of a view's side.
        cuts: places of the views.
        weights: number of equal views that each stands for.
    """

    frames: Clips
    length: int
    size: int
    cuts: tuple[Cut, ...]
    weights: tuple[int, ...]

    def write(self, number: int, out: Clips) -> None:
        """Write a view into ``out``, uint8 (frames, size, size, 3)."""
        start, top, left = self.cuts[number]
        square = self.frames[:, top : top + self.size, left : left + self.size]
        if start + self.length <= len(square):
            out[:] = square[start : start + self.length]
        else:
            np.take(square, (start + np.arange(self.length)) % len(square), axis=0, out=out)


@dataclass(frozen=True, slots=True)
class ViewReader:
    """The reader of videos' views.

    Args:
        plan: part of each video that views are cut from, and its frames' size.
        views: views of a video.
    """

    plan: DecodePlan
    views: Views

    @classmethod
    def of(cls, dataset: Dataset, clip: ClipShape, views: Views, side: int | None = None) -> ViewReader:
        """Return the reader for a network's clips.

        Args:
            dataset: data set of the videos, which decides how much of each is kept, and its margin.
            clip: shape of the clips.
            views: views of a video.
            side: pixels that the short side of frames is scaled to; by default the clip's and the margin.

        Raises:
            SettingsError: ``side`` is smaller than a clip.
        """
        plan = DecodePlan.of(dataset, clip.frames, clip.size, clip.fps)
        if side is not None and side < clip.size:
            raise SettingsError(
                f"frames of {side} pixels for clips of {clip.size}",
                hint="scale frames to the clip's size or more",
            )
        return cls(plan if side is None else replace(plan, side=side), views)

    def read(self, item: VideoItem) -> VideoViews:
        """Decode a video, and return its views.

        Raises:
            DataError: it cannot be read.
        """
        plan, views = self.plan, self.views
        frames = decode(item, plan, square=views.crops == 1).frames
        length = views.frames_of(len(frames), plan.frames)
        if views.crops == 1:
            corner = (plan.side - plan.size) // 2
            corners = [(corner, corner)]
        else:
            corners = three_corners(frames.shape[1:], plan.size)
        cuts = Counter(
            Cut(start, *corner) for start in views.starts(len(frames), length) for corner in corners
        )
        return VideoViews(frames, length, plan.size, tuple(cuts), tuple(cuts.values()))
