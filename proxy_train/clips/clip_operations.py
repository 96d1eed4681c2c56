"""Changes of colour and shape of whole clips, as AutoAugment and RandAugment draw them.

Every operation takes a uint8 clip (frames, height, width, 3) and gives a new one of that shape. Frames
change alike: tables of tones are made from all of them, and shapes move by one transform, so that nothing
flickers and motion stays what it was. None mirrors the picture or reverses time.

How strong a magnitude of 0 to 10 is follows the official implementation of both methods (TensorFlow Models,
``augment.py``); distances in pixels there are fractions of the side here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Clip = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Operation = Callable[[Clip, float, np.random.Generator], Clip]

_GREY = 128  # what comes into the picture from outside
_LUMA = np.array([0.2989, 0.587, 0.114], np.float32)


def auto_contrast(clip: Clip, _magnitude: float, _rng: np.random.Generator) -> Clip:
    """Spread each channel's tones over 0 to 255."""
    flat = clip.reshape(-1, 3)
    low, high = flat.min(0).astype(np.float32), flat.max(0).astype(np.float32)
    scale = np.where(high > low, 255 / np.maximum(high - low, 1), 1)
    base = np.where(high > low, low, 0)
    tones = np.arange(256, dtype=np.float32)[:, None]
    return _by_table(clip, _bytes((tones - base) * scale))


def equalize(clip: Clip, _magnitude: float, _rng: np.random.Generator) -> Clip:
    """Make all tones of a channel equally frequent."""
    table = np.tile(np.arange(256, dtype=np.uint8)[:, None], 3)
    for channel in range(3):
        counts = np.bincount(clip[..., channel].reshape(-1), minlength=256)
        used = counts[counts > 0]
        step = (counts.sum() - used[-1]) // 255
        if step:
            below = np.concatenate([[0], np.cumsum(counts)[:-1]])
            table[:, channel] = np.minimum((below + step // 2) // step, 255)
    return _by_table(clip, table)


def invert(clip: Clip, _magnitude: float, _rng: np.random.Generator) -> Clip:
    """Return the negative."""
    return 255 - clip


def posterize(clip: Clip, magnitude: float, _rng: np.random.Generator) -> Clip:
    """Keep only the highest bits: up to four of eight, more at a higher magnitude."""
    dropped = 8 - int(magnitude / 10 * 4)
    return ((clip.astype(np.uint16) >> dropped) << dropped).astype(np.uint8)


def solarize(clip: Clip, magnitude: float, _rng: np.random.Generator) -> Clip:
    """Invert the tones from a threshold on."""
    return _where(clip < int(magnitude / 10 * 256), clip, 255 - clip)


def solarize_add(clip: Clip, magnitude: float, _rng: np.random.Generator) -> Clip:
    """Make the darker half of the tones brighter."""
    added = np.minimum(clip.astype(np.int16) + int(magnitude / 10 * 110), 255).astype(np.uint8)
    return _where(clip < 128, added, clip)


def color(clip: Clip, magnitude: float, _rng: np.random.Generator) -> Clip:
    """Change the saturation, from grey to garish."""
    return _blend((clip @ _LUMA)[..., None], clip, magnitude)


def contrast(clip: Clip, magnitude: float, _rng: np.random.Generator) -> Clip:
    """Change the contrast, from even grey, of the clip's mean brightness, to harsh."""
    return _blend(np.float32((clip @ _LUMA).mean()), clip, magnitude)


def brightness(clip: Clip, magnitude: float, _rng: np.random.Generator) -> Clip:
    """Change the brightness, from black to bright."""
    return _blend(np.float32(0), clip, magnitude)


def sharpness(clip: Clip, magnitude: float, _rng: np.random.Generator) -> Clip:
    """Change the sharpness, from blurred to sharpened; the outermost pixels stay."""
    whole = clip.astype(np.float32)
    soft = whole.copy()
    rows = whole[:, :-2] + whole[:, 1:-1] + whole[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    soft[:, 1:-1, 1:-1] = (around + 4 * whole[:, 1:-1, 1:-1]) / 13
    return _blend(soft, clip, magnitude)


def shear_x(clip: Clip, magnitude: float, rng: np.random.Generator) -> Clip:
    """Slant by up to 0.3, to either side."""
    return _warp(clip, np.array([[1, _with_random_sign(0.03 * magnitude, rng)], [0, 1]]))


def shear_y(clip: Clip, magnitude: float, rng: np.random.Generator) -> Clip:
    """Slant by up to 0.3, up or down."""
    return _warp(clip, np.array([[1, 0], [_with_random_sign(0.03 * magnitude, rng), 1]]))


def translate_x(clip: Clip, magnitude: float, rng: np.random.Generator) -> Clip:
    """Move by up to 0.45 of the width, to either side."""
    return _warp(clip, np.eye(2), across=_with_random_sign(0.045 * magnitude, rng))


def translate_y(clip: Clip, magnitude: float, rng: np.random.Generator) -> Clip:
    """Move by up to 0.45 of the height, up or down."""
    return _warp(clip, np.eye(2), down=_with_random_sign(0.045 * magnitude, rng))


def rotate(clip: Clip, magnitude: float, rng: np.random.Generator) -> Clip:
    """Turn by up to 30 degrees, either way."""
    angle = math.radians(_with_random_sign(3 * magnitude, rng))
    turn = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return _warp(clip, np.array(turn))


def cutout(clip: Clip, magnitude: float, rng: np.random.Generator) -> Clip:
    """Cover a square, of up to 0.36 of the side, with grey, at one place in all frames."""
    height, width = clip.shape[1:3]
    half = round(0.018 * magnitude * min(height, width))
    row, column = int(rng.integers(height)), int(rng.integers(width))
    changed = clip.copy()
    changed[:, max(0, row - half) : row + half, max(0, column - half) : column + half] = _GREY
    return changed


OPERATIONS: dict[str, Operation] = {
    operation.__name__: operation
    for operation in (
        auto_contrast,
        equalize,
        invert,
        rotate,
        posterize,
        solarize,
        solarize_add,
        color,
        contrast,
        brightness,
        sharpness,
        shear_x,
        shear_y,
        translate_x,
        translate_y,
        cutout,
    )
}


def _with_random_sign(value: float, rng: np.random.Generator) -> float:
    return value if rng.random() < 0.5 else -value


def _where(which: npt.NDArray[np.bool_], first: Clip, second: Clip) -> Clip:
    chosen: Clip = np.where(which, first, second)
    return chosen


def _bytes(values: npt.NDArray[np.floating]) -> Clip:
    bounded: Clip = np.clip(values, 0, 255).astype(np.uint8)
    return bounded


def _by_table(clip: Clip, table: Clip) -> Clip:
    """Map each channel through its own column of 256 tones."""
    changed = np.empty_like(clip)
    for channel in range(3):
        np.take(table[:, channel], clip[..., channel], out=changed[..., channel])
    return changed


def _blend(other: Floats | np.float32, clip: Clip, magnitude: float) -> Clip:
    """Blend from near ``other`` over the clip itself to beyond it: 0.1 to 1.9."""
    factor = np.float32(0.18 * magnitude + 0.1)
    return _bytes(other + factor * (clip.astype(np.float32) - other))


def _warp(clip: Clip, matrix: npt.NDArray[np.float64], across: float = 0, down: float = 0) -> Clip:
    """Show at each place (row, column) from the centre what was at ``matrix`` times it, then moved.

    The nearest pixel is taken; grey comes in from outside.
    """
    height, width = clip.shape[1:3]
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    places = np.indices((height, width)).transpose(1, 2, 0) - centre
    source = places @ matrix + centre + np.array([down * height, across * width])
    rows, columns = np.rint(source).astype(np.intp).transpose(2, 0, 1)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    flat = np.where(inside, rows * width + columns, 0)
    moved: Clip = clip.reshape(len(clip), height * width, 3)[:, flat]
    moved[:, ~inside] = _GREY
    return moved
