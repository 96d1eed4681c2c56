"""The parts of a video that an evaluation looks at: the centre, several clips and crops, or all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from proxy_train.store.clip_origins import Pixels
from proxy_train.store.split import FrameRange, Split
from search_space.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Views:
    """The views of a video: ``clips`` evenly spread over it, times ``crops`` squares of their frames.

    Args:
        clips: number of clips; a single one is the middle.
        crops: number of squares: 1, the centre; or 3, the centre and both ends of the whole frames' long
            side, left and right or top and bottom. Videos are read again for these: a store has only centres.
        whole: whether a view has all frames that are kept of the video, not a clip's length; as a stream.

    Raises:
        SettingsError: there are no such views.
    """

    clips: int = 1
    crops: int = 1
    whole: bool = False

    def __post_init__(self) -> None:
        if self.clips < 1 or self.crops not in (1, 3) or (self.whole and self.clips > 1):
            raise SettingsError(
                f"{self.clips} clips and {self.crops} crops{' of the whole video' * self.whole}",
                hint="take 1 or more clips, and 1 or 3 crops; the whole video is one clip",
            )

    @classmethod
    def parse(cls, text: str) -> Views:
        """Read ``CLIPSxCROPS``, such as ``10x3``, or ``whole`` for all frames of each video as one clip.

        Raises:
            SettingsError: the text is of another form, or there are no such views.
        """
        if text == "whole":
            return cls(whole=True)
        clips, cross, crops = text.partition("x")
        if not (cross and clips.isascii() and clips.isdigit() and crops.isascii() and crops.isdigit()):
            raise SettingsError(f"--views cannot be {text!r}", hint="write CLIPSxCROPS, such as 10x3")
        return cls(int(clips), int(crops))

    def __str__(self) -> str:
        return "whole" if self.whole else f"{self.clips}x{self.crops}"

    @property
    def count(self) -> int:
        """The number of views of a video."""
        return self.clips * self.crops

    def frames(self, split: Split, index: int, frames: int) -> int:
        """Return the number of frames of a view of a video."""
        return self.frames_of(int(split.lengths[index]), frames)

    def frames_of(self, length: int, frames: int) -> int:
        """Return the number of frames of a view of a video of ``length`` frames, for clips of ``frames``."""
        return max(frames, length) if self.whole else frames

    def starts(self, length: int, frames: int) -> list[int]:
        """Return the first frame of each clip of ``frames`` frames in a video of ``length`` frames."""
        free = max(0, length - frames)
        if self.clips == 1:
            return [free // 2]
        return [round(free * number / (self.clips - 1)) for number in range(self.clips)]

    def frame_ranges(
        self, split: Split, indices: npt.NDArray[np.int64], frames: int, size: int
    ) -> Iterator[FrameRange]:
        """Yield the ranges of frames that ``batch`` reads."""
        for index in indices.tolist():
            length = self.frames(split, index, frames)
            for start in self.starts(int(split.lengths[index]), length):
                yield FrameRange(index, start, length, size if self.crops == 3 else 0)

    def batch(
        self,
        split: Split,
        indices: npt.NDArray[np.int64],
        frames: int,
        size: int,
        read: Iterator[Pixels] | None = None,
    ) -> Tensor:
        """Return the views of some videos.

        Args:
            split: split of the videos.
            indices: indices of the videos, whose views must have equally many frames.
            frames: frames of a clip.
            size: pixels of a side.
            read: iterator that yields the clips of their ``frame_ranges`` next; by default they are read now.

        Returns:
            float32 (videos * views, 3, frames, size, size) in 0..1, the views of a video together.
        """
        read = split.read_all(self.frame_ranges(split, indices, frames, size)) if read is None else read
        length, at = self.frames(split, int(indices[0]), frames), (split.side - size) // 2
        batch = np.empty((len(indices) * self.clips, self.crops, length, size, size, 3), np.uint8)
        for views, clip in zip(batch, read, strict=False):
            views[:] = clip if self.crops == 3 else clip[:, at : at + size, at : at + size]
        pixels = torch.from_numpy(batch).flatten(0, 1).to(torch.float32) / 255
        return pixels.permute(0, 4, 1, 2, 3)
