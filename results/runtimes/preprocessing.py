"""From a frame as a camera or a decoder gives it to a frame as a network takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from search_space.architecture.parts import ClipShape
from search_space.errors import DataError, ExportError

_LAYOUTS = ("NCHW", "NHWC")
_CHANNELS = "RGB"
_FIT = "short side to size (area where it shrinks, else bilinear), centre crop"


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a network expects of a frame: ``size`` x ``size`` pixels, RGB in [0, 1], ``fps`` a second."""

    size: int
    fps: float

    @classmethod
    def of(cls, input: ClipShape) -> Preprocessing:
        """What the networks made for ``input`` expect."""
        return cls(input.size, input.fps)

    def apply(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Makes a (H, W, 3) uint8 RGB frame of any size a (1, 3, size, size) float32 one in [0, 1].

        Raises:
            DataError: if the frame has another shape or type.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape or frame.dtype != np.uint8:
            raise DataError(
                f"a frame of shape {frame.shape} and type {frame.dtype} is no picture",
                hint="give an RGB frame as a uint8 array of shape (height, width, 3)",
            )
        fitted = self._fit(frame)
        return np.ascontiguousarray(fitted.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255)

    def _fit(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = frame.shape[:2]
        if (height, width) == (self.size, self.size):
            return frame
        scale = self.size / min(height, width)
        wide, high = max(self.size, round(width * scale)), max(self.size, round(height * scale))
        # The filters that videos were read with for training.
        kernel = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
        resized = np.asarray(Image.fromarray(frame).resize((wide, high), kernel))
        top, left = (high - self.size) // 2, (wide - self.size) // 2
        return resized[top : top + self.size, left : left + self.size]

    def to_json(self, *, channels_last: bool = False) -> dict[str, object]:
        """The description that goes into a sidecar, complete enough to do the same in another language.

        Args:
            channels_last: whether the file takes (.., size, size, 3).
        """
        return {
            "size": self.size,
            "fps": self.fps,
            "range": [0.0, 1.0],
            "layout": _LAYOUTS[channels_last],
            "channels": _CHANNELS,
            "fit": _FIT,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Preprocessing:
        """Reads :meth:`to_json`'s form.

        Raises:
            ExportError: if it describes something that this version does not do.
        """
        size, fps = content.get("size"), content.get("fps")
        layout = content.get("layout")
        known = layout if layout in _LAYOUTS else _LAYOUTS[0]
        expected = {"range": [0.0, 1.0], "layout": known, "channels": _CHANNELS, "fit": _FIT}
        for key, value in expected.items():
            if content.get(key) != value:
                raise ExportError(
                    f"the preprocessing has {key} {content.get(key)!r}, and only {value!r} is known",
                    hint="the export is of another version; export the member again",
                )
        if not isinstance(size, int) or not isinstance(fps, int | float) or size < 1:
            raise ExportError(
                f"the preprocessing has size {size!r} and fps {fps!r}", hint="export the member again"
            )
        return cls(size, float(fps))
