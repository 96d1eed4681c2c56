"""The pictures of MovingDigits-16: handwritten digits that move over dimmed photographs.

Sixteen classes in twins: classes 2k and 2k + 1 show the same frames in another order (a motion and its
reversal; events A, B and B, A), so that whoever ignores the order of frames is right on at most half of the
clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

FRAMES, SIZE, FPS = 32, 64, 16
CLASSES = (
    "right",
    "left",
    "down",
    "up",
    "grow",
    "shrink",
    "orbit-clockwise",
    "orbit-counterclockwise",
    "right-then-up",
    "up-then-right",
    "left-then-down",
    "down-then-left",
    "right-then-grow",
    "grow-then-right",
    "left-then-grow",
    "grow-then-left",
)
_DIRECTIONS = 8
_MARGIN = 8  # pixels of background around the picture, for the pan
_STEPS = {"right": (1.0, 0.0), "left": (-1.0, 0.0), "down": (0.0, 1.0), "up": (0.0, -1.0), "grow": (0.0, 0.0)}


@dataclass(frozen=True)
class Sources:
    """What a split's clips are made of: digits (n, 8, 8) in [0, 1] and photographs (h, w, 3) in [0, 1]."""

    digits: Floats
    photographs: tuple[Floats, ...]


def render(label: int, sources: Sources, rng: np.random.Generator, *, distractor: bool = False) -> Pixels:
    """One clip of class ``label``: uint8 (FRAMES, SIZE, SIZE, 3).

    Args:
        distractor: add a smaller, dimmer digit that does the motion of some other class.
    """
    clip = _background(sources.photographs[rng.integers(len(sources.photographs))], rng)
    if distractor:
        other = int((label + rng.integers(1, len(CLASSES))) % len(CLASSES))
        _draw_digit(
            clip, other, sources.digits, rng, pixels=(13.0, 17.0), tint=(0.55, 0.8), centre=(0.25, 0.75)
        )
    _draw_digit(clip, label, sources.digits, rng, pixels=(17.0, 24.0), tint=(0.75, 1.0), centre=(0.40, 0.60))
    noise = rng.standard_normal(clip.shape, dtype=np.float32)
    noise *= np.float32(0.015 * 255)
    # In place from here on: half of the time to make a clip is memory traffic.
    clip *= 255
    clip += noise
    clip += 0.5
    np.clip(clip, 0, 255, out=clip)
    return clip.astype(np.uint8)


def trajectory(label: int, rng: np.random.Generator) -> Floats:
    """(FRAMES, 3): offset right and down in pixels, and log of the scale, without jitter.

    Twins given the same generator state visit the same places: in reverse, or with the events exchanged.
    """
    base, twin = label - label % 2, label % 2 == 1
    if label < _DIRECTIONS:
        path = _directed(CLASSES[base], rng)
        return path[::-1].copy() if twin else path
    first, second = CLASSES[base].split("-then-")
    lengths, rests = rng.integers(8, 11, size=2), int(rng.integers(6, 9))
    amplitudes, growths = rng.uniform(9, 13, size=2), rng.uniform(np.log(1.4), np.log(1.8), size=2)
    events = [
        _event(name, int(length), float(amplitude), float(growth))
        for name, length, amplitude, growth in zip((first, second), lengths, amplitudes, growths, strict=True)
    ]
    if twin:
        events.reverse()
    before = int(rng.integers(1, FRAMES - lengths.sum() - rests))
    path = np.zeros((FRAMES, 3), np.float32)
    path[before : before + len(events[0])] = events[0]
    again = before + len(events[0]) + rests
    path[again : again + len(events[1])] = events[1]
    return path


def _directed(name: str, rng: np.random.Generator) -> Floats:
    """A steady motion, symmetric about the middle of the clip: its reversal shows the same frames."""
    u = np.linspace(-0.5, 0.5, FRAMES)
    travel, growth = rng.uniform(16, 22), rng.uniform(np.log(1.6), np.log(2.0))
    radius, turns, phase = rng.uniform(7, 11), rng.uniform(0.75, 1.0), rng.uniform(0, 2 * np.pi)
    path = np.zeros((FRAMES, 3))
    if name == "grow":
        path[:, 2] = growth * u
    elif name == "orbit-clockwise":
        # With y pointing down, a growing angle turns clockwise.
        angle = phase + 2 * np.pi * turns * u
        path[:, 0], path[:, 1] = radius * np.cos(angle), radius * np.sin(angle)
    else:
        path[:, :2] = travel * u[:, None] * np.array(_STEPS[name])
    return path.astype(np.float32)


def _event(name: str, length: int, amplitude: float, growth: float) -> Floats:
    """Out and back along half a sine: (length, 3)."""
    wave = np.sin(np.pi * (np.arange(length) + 0.5) / length)
    right, down = _STEPS[name]
    steps = np.array([amplitude * right, amplitude * down, growth if name == "grow" else 0.0])
    event: Floats = (wave[:, None] * steps).astype(np.float32)
    return event


def _draw_digit(
    clip: Floats,
    label: int,
    digits: Floats,
    rng: np.random.Generator,
    *,
    pixels: tuple[float, float],
    tint: tuple[float, float],
    centre: tuple[float, float],
) -> None:
    """Lays a digit that moves as ``label`` says over the clip, in place; ranges are (low, high)."""
    digit = digits[rng.integers(len(digits))]
    colour = rng.uniform(*tint, size=3).astype(np.float32)
    middle = rng.uniform(*centre, size=2) * SIZE
    path = trajectory(label, rng)
    places = middle + path[:, :2] + rng.normal(0, 0.3, size=(FRAMES, 2))
    sides = rng.uniform(*pixels) * np.exp(path[:, 2])
    across, down = (_interpolation(places[:, axis], sides) for axis in (0, 1))
    alpha = (down @ digit @ across.transpose(0, 2, 1))[..., None]
    for channel, value in enumerate(colour):
        clip[..., channel : channel + 1] += alpha * (value - clip[..., channel : channel + 1])


def _interpolation(centres: npt.NDArray[np.float64], sides: npt.NDArray[np.float64]) -> Floats:
    """(FRAMES, SIZE, 8): weights that stretch 8 cells over ``sides`` pixels around ``centres``; 0 outside."""
    pixels = np.arange(SIZE)[None, :] + 0.5
    cells = (pixels - centres[:, None]) / sides[:, None] * 8 + 3.5
    weights: Floats = np.maximum(0, 1 - np.abs(cells[..., None] - np.arange(8))).astype(np.float32)
    return weights


def _background(photograph: Floats, rng: np.random.Generator) -> Floats:
    """A dimmed crop under a slow random pan: (FRAMES, SIZE, SIZE, 3)."""
    crop = int(rng.integers(80, 150))
    top, left = (int(rng.integers(0, length - crop + 1)) for length in photograph.shape[:2])
    canvas = _resize(photograph[top : top + crop, left : left + crop], SIZE + 2 * _MARGIN)
    canvas *= np.float32(rng.uniform(0.25, 0.5))
    walk = np.cumsum(rng.normal(0, 0.25, size=(FRAMES, 2)), axis=0)
    shifts = np.clip(walk - walk.mean(0), -_MARGIN + 1, _MARGIN - 2) + _MARGIN
    whole = np.floor(shifts).astype(int)
    part = (shifts - whole).astype(np.float32)
    clip = np.empty((FRAMES, SIZE, SIZE, 3), np.float32)
    for frame, ((y, x), (v, u)) in enumerate(zip(whole, part, strict=True)):
        rows = canvas[y : y + SIZE + 1, x : x + SIZE + 1]
        rows = rows[:-1] * (1 - v) + rows[1:] * v
        clip[frame] = rows[:, :-1] * (1 - u) + rows[:, 1:] * u
    return clip


def _resize(image: Floats, size: int) -> Floats:
    """A square image scaled to ``size`` pixels, linearly."""
    at = np.clip((np.arange(size) + 0.5) * len(image) / size - 0.5, 0, len(image) - 1)
    low = np.minimum(at.astype(int), len(image) - 2)
    part = (at - low).astype(np.float32)
    rows = image[low] * (1 - part)[:, None, None] + image[low + 1] * part[:, None, None]
    resized: Floats = rows[:, low] * (1 - part)[None, :, None] + rows[:, low + 1] * part[None, :, None]
    return resized
