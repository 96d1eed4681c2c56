"""From a frame as a camera or a decoder gives it to a frame as a network takes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field

from search_space.architecture.parts import ClipShape
from search_space.errors import DataError, ExportError
from search_space.json_files import from_json, to_json

_RANGE = (0.0, 1.0)
_FIT = "short side to size (area where it shrinks, else bilinear), centre crop"
_HINT = "export the member again"


def _only(known: object) -> AfterValidator:
    """Return a validator that refuses every other value."""

    def check(value: object) -> object:
        if value != known:
            raise ValueError(f"only {known!r} is known to this version")
        return value

    return AfterValidator(check)


@dataclass(frozen=True, slots=True)
class PreprocessingForm:
    """Preprocessing as a sidecar describes it, complete enough to do the same in another language.

    Args:
        size: height and width of the input in pixels.
        fps: frames a second that the network is made for.
        range: least and largest value of a pixel.
        layout: order of the input's axes in the file.
        channels: order of the colours.
        fit: rule by which a picture of another size is brought to ``size``.
    """

    size: Annotated[int, Field(ge=1)]
    fps: float
    range: Annotated[tuple[float, float], _only(_RANGE)]
    layout: Literal["NCHW", "NHWC"]
    channels: Literal["RGB"]
    fit: Annotated[str, _only(_FIT)]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From a picture to a network's input: ``size`` x ``size`` pixels, RGB in [0, 1], ``fps`` a second."""

    size: int
    fps: float

    @classmethod
    def of(cls, clip: ClipShape) -> Preprocessing:
        """Return the preprocessing of networks made for a clip's shape."""
        return cls(clip.size, clip.fps)

    def apply(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a (H, W, 3) uint8 RGB frame of any size as a (1, 3, size, size) float32 one in [0, 1].

        Raises:
            DataError: the frame has another shape or type.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape or frame.dtype != np.uint8:
            raise DataError(
                f"a frame of shape {frame.shape} and type {frame.dtype} is not a picture",
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

    def form(self, *, channels_last: bool = False) -> PreprocessingForm:
        """Return the description that goes into a sidecar.

        Args:
            channels_last: whether the file takes (.., size, size, 3).
        """
        return PreprocessingForm(
            self.size, self.fps, _RANGE, "NHWC" if channels_last else "NCHW", "RGB", _FIT
        )

    @classmethod
    def of_form(cls, form: PreprocessingForm) -> Preprocessing:
        """Return the preprocessing that a sidecar describes."""
        return cls(form.size, float(form.fps))

    def to_json(self, *, channels_last: bool = False) -> dict[str, Any]:
        """Return the JSON form of :meth:`form`."""
        content: dict[str, Any] = to_json(self.form(channels_last=channels_last))
        return content

    @classmethod
    def from_json(cls, content: object) -> Preprocessing:
        """Return the preprocessing of its JSON form.

        Raises:
            ExportError: it describes something that this version does not do.
        """
        form = from_json(content, PreprocessingForm, where="the preprocessing", error=ExportError, hint=_HINT)
        return cls.of_form(form)
