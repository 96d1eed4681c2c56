"""The pictures of MovingDigits-16: handwritten digits that move over dimmed photographs.

Sixteen classes in twins: classes 2k and 2k + 1 show the same frames in another order (a motion and its
reversal; events A, B and B, A), so that a network that ignores the order of frames is right on at most half
of the clips.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
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


Range = tuple[float, float]
"""The least and the greatest value of a uniform draw."""


@dataclass(frozen=True)
class Sources:
    """The sources of a split's clips: digits (n, 8, 8) and photographs (h, w, 3), both in [0, 1]."""

    digits: Floats
    photographs: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Sprite:
    """The look of a digit: side in pixels, brightness of its colours, place in the picture."""

    pixels: Range
    tint: Range
    centre: Range


@dataclass(frozen=True, slots=True)
class Motion:
    """The distance and the speed of the digits' motions.

    Args:
        travel: pixels that a direction covers over the clip.
        growth: factor of a growing digit over the clip.
        radius: pixels of an orbit's radius.
        turns: turns of an orbit.
        reach: pixels of an event's reach.
        swelling: factor of an event that grows.
        event: frames of an event.
        rest: frames between two events.
        unsteady: spread of the logarithm of a direction's speed, which changes over the clip.
    """

    travel: Range = (16, 22)
    growth: Range = (1.6, 2.0)
    radius: Range = (7, 11)
    turns: Range = (0.75, 1.0)
    reach: Range = (9, 13)
    swelling: Range = (1.4, 1.8)
    event: tuple[int, int] = (8, 10)
    rest: tuple[int, int] = (6, 8)
    unsteady: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """The content of clips.

    Args:
        digit: look of the digit whose motion is the class.
        motion: motion of all digits.
        distractors: number of digits with the motions of other classes.
        distractor: look of these digits.
        camera: largest drift of the camera over a clip, in pixels each way; 0: it rests.
        occluders: number of strips of another photograph before the digits.
        flicker: spread of the light's changes from frame to frame.
        noise: standard deviation of the pixels' noise.
    """

    digit: Sprite = Sprite((17.0, 24.0), (0.75, 1.0), (0.40, 0.60))
    motion: Motion = Motion()
    distractors: int = 0
    distractor: Sprite = Sprite((13.0, 17.0), (0.55, 0.8), (0.25, 0.75))
    camera: float = 0.0
    occluders: int = 0
    flicker: float = 0.0
    noise: float = 0.015


PLAIN = Scene()
Content = TypeVar("Content", Scene, Sprite, Motion, Range, float)


def between(easy: Content, hard: Content, share: float) -> Content:
    """Return the content that lies between two, number by number; counts are rounded.

    Args:
        easy: content at a share of 0.
        hard: content at a share of 1.
        share: part of the way, from 0 to 1.
    """
    if is_dataclass(easy):
        parts = ((part.name, getattr(easy, part.name), getattr(hard, part.name)) for part in fields(easy))
        return type(easy)(**{name: between(low, high, share) for name, low, high in parts})
    if isinstance(easy, tuple):
        return tuple(between(low, high, share) for low, high in zip(easy, hard, strict=True))  # type: ignore
    mixed = easy * (1 - share) + hard * share
    return round(mixed) if isinstance(easy, int) and isinstance(hard, int) else mixed


def render(label: int, sources: Sources, rng: np.random.Generator, scene: Scene = PLAIN) -> Pixels:
    """Render a clip of class ``label``: uint8 (FRAMES, SIZE, SIZE, 3)."""
    return _render_with_path(label, sources, rng, scene)[0]


def render_twin(label: int, sources: Sources, rng: np.random.Generator, scene: Scene = PLAIN) -> Pixels:
    """Render the clip of the odd class ``label`` that shows the same as ``render`` shows of its twin.

    If nothing else moves, it has the same frames in another order: backwards, or with the two events
    exchanged. If something else moves, exchanging frames would make it jump.
    """
    if label < _DIRECTIONS:
        return _render_with_path(label - 1, sources, rng, scene)[0][::-1].copy()
    if scene.camera or scene.distractors or scene.flicker:
        return render(label, sources, rng, scene)
    clip, path = _render_with_path(label - 1, sources, rng, scene)
    return clip[_events_exchanged(path)]


def _events_exchanged(path: Floats) -> npt.NDArray[np.int64]:
    """Return an order of frames in which the two events of a path have changed places."""
    at_rest = ~path.any(1)
    edges = np.flatnonzero(np.diff(at_rest)) + 1
    before, first, rest, second, after = np.split(np.arange(len(path)), edges)
    return np.concatenate([before, second, rest, first, after])


def _render_with_path(
    label: int, sources: Sources, rng: np.random.Generator, scene: Scene
) -> tuple[Pixels, Floats]:
    """Render a clip; also return the path of the digit whose motion is its class."""
    camera = _camera_path(scene.camera, rng)
    clip = _background(sources.photographs[rng.integers(len(sources.photographs))], camera, rng)
    for _ in range(scene.distractors):
        other = int((label + rng.integers(1, len(CLASSES))) % len(CLASSES))
        _draw_digit(clip, other, sources.digits, camera, scene.distractor, scene.motion, rng)
    path = _draw_digit(clip, label, sources.digits, camera, scene.digit, scene.motion, rng)
    for _ in range(scene.occluders):
        _occlude(clip, sources.photographs, camera, rng)
    if scene.flicker:
        clip *= np.exp(_slow_curves(scene.flicker, 1, rng))[:, None, None].astype(np.float32)
    noise = rng.standard_normal(clip.shape, dtype=np.float32)
    noise *= np.float32(scene.noise * 255)
    # In place from this line on: half of the time to make a clip is memory traffic.
    clip *= 255
    clip += noise
    clip += 0.5
    np.clip(clip, 0, 255, out=clip)
    return clip.astype(np.uint8), path


def trajectory(label: int, rng: np.random.Generator, motion: Motion = PLAIN.motion) -> Floats:
    """Return a path (FRAMES, 3): offset right and down in pixels, log of the scale, without jitter.

    Twins given the same generator state visit the same places: in reverse, or with the events exchanged.
    """
    base, twin = label - label % 2, label % 2 == 1
    if label < _DIRECTIONS:
        path = _directed_path(CLASSES[base], motion, rng)
        return path[::-1].copy() if twin else path
    first, second = CLASSES[base].split("-then-")
    lengths = rng.integers(motion.event[0], motion.event[1] + 1, size=2)
    rests = int(rng.integers(motion.rest[0], motion.rest[1] + 1))
    amplitudes, growths = rng.uniform(*motion.reach, size=2), rng.uniform(*_logs(motion.swelling), size=2)
    events = [
        _event_path(name, int(length), float(amplitude), float(growth))
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


def _directed_path(name: str, motion: Motion, rng: np.random.Generator) -> Floats:
    """Return a path whose reversal is as likely: steady ones are symmetric about the middle."""
    u = np.linspace(-0.5, 0.5, FRAMES)
    travel, growth = rng.uniform(*motion.travel), rng.uniform(*_logs(motion.growth))
    radius, turns = rng.uniform(*motion.radius), rng.uniform(*motion.turns)
    phase = rng.uniform(0, 2 * np.pi)
    if motion.unsteady:
        speed = np.exp(_slow_curves(motion.unsteady, 1, rng)[:-1, 0])
        u = np.concatenate([[0.0], np.cumsum(speed)]) / speed.sum() - 0.5
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


def _event_path(name: str, length: int, amplitude: float, growth: float) -> Floats:
    """Return a path (length, 3) out and back along half a sine."""
    wave = np.sin(np.pi * (np.arange(length) + 0.5) / length)
    right, down = _STEPS[name]
    steps = np.array([amplitude * right, amplitude * down, growth if name == "grow" else 0.0])
    event: Floats = (wave[:, None] * steps).astype(np.float32)
    return event


def _logs(factors: Range) -> Range:
    return math.log(factors[0]), math.log(factors[1])


def _slow_curves(spread: float, count: int, rng: np.random.Generator) -> Doubles:
    """Return curves that change slowly, of mean 0 and standard deviation ``spread``: (FRAMES, ``count``).

    A sum of three waves of random phase: as likely as its reversal.
    """
    u = np.arange(FRAMES)[:, None] / FRAMES
    curves = np.zeros((FRAMES, count))
    for cycles in (1, 2, 3):
        phase, size = rng.uniform(0, 2 * np.pi, count), rng.normal(0, 1, count)
        curves += size * np.sin(2 * np.pi * cycles * u + phase)
    curves -= curves.mean(0)
    curves *= spread / np.maximum(curves.std(0), 1e-9)
    return curves


def _camera_path(drift: float, rng: np.random.Generator) -> Doubles:
    """Return the camera's offsets right and down of everything that it sees, (FRAMES, 2), 0 on average."""
    if not drift:
        return np.zeros((FRAMES, 2))
    u = np.linspace(-0.5, 0.5, FRAMES)[:, None]
    return u * rng.uniform(-drift, drift, 2) + _slow_curves(drift / 8, 2, rng)


def _draw_digit(
    clip: Floats,
    label: int,
    digits: Floats,
    camera: Doubles,
    sprite: Sprite,
    motion: Motion,
    rng: np.random.Generator,
) -> Floats:
    """Draw a digit that moves as ``label`` says over the clip, in place; return its path."""
    digit = digits[rng.integers(len(digits))]
    colour = rng.uniform(*sprite.tint, size=3).astype(np.float32)
    middle = rng.uniform(*sprite.centre, size=2) * SIZE
    path = trajectory(label, rng, motion)
    places = middle + path[:, :2] + camera + rng.normal(0, 0.3, size=(FRAMES, 2))
    sides = rng.uniform(*sprite.pixels) * np.exp(path[:, 2])
    across, down = (_interpolation(places[:, axis], sides) for axis in (0, 1))
    alpha = (down @ digit @ across.transpose(0, 2, 1))[..., None]
    for channel, value in enumerate(colour):
        clip[..., channel : channel + 1] += alpha * (value - clip[..., channel : channel + 1])
    return path


def _occlude(
    clip: Floats, photographs: tuple[Floats, ...], camera: Doubles, rng: np.random.Generator
) -> None:
    """Draw a strip across the picture, over everything, in place; it moves with the camera."""
    photograph = photographs[rng.integers(len(photographs))]
    thick, place = rng.uniform(5, 9), rng.uniform(0.3, 0.7) * SIZE
    top, left = (int(rng.integers(0, length - SIZE + 1)) for length in photograph.shape[:2])
    texture = photograph[top : top + SIZE, left : left + SIZE] * np.float32(rng.uniform(0.25, 0.6))
    axis = int(rng.integers(2))
    at = np.arange(SIZE)[None] + 0.5 - place - camera[:, axis : axis + 1]
    cover = np.clip(thick / 2 + 0.5 - np.abs(at), 0, 1).astype(np.float32)
    mask = cover[:, None, :, None] if axis == 0 else cover[:, :, None, None]
    clip += mask * (texture - clip)


def _interpolation(centres: npt.NDArray[np.float64], sides: npt.NDArray[np.float64]) -> Floats:
    """Return weights (FRAMES, SIZE, 8) that spread 8 cells over ``sides`` pixels around ``centres``."""
    pixels = np.arange(SIZE)[None, :] + 0.5
    cells = (pixels - centres[:, None]) / sides[:, None] * 8 + 3.5
    weights: Floats = np.maximum(0, 1 - np.abs(cells[..., None] - np.arange(8))).astype(np.float32)
    return weights


def _background(photograph: Floats, camera: Doubles, rng: np.random.Generator) -> Floats:
    """Return a dimmed crop under the camera's motion and a slow random pan: (FRAMES, SIZE, SIZE, 3)."""
    margin = _MARGIN + int(np.ceil(np.abs(camera).max()))
    crop = int(rng.integers(80, 150))
    top, left = (int(rng.integers(0, length - crop + 1)) for length in photograph.shape[:2])
    canvas = _resize(photograph[top : top + crop, left : left + crop], SIZE + 2 * margin)
    canvas *= np.float32(rng.uniform(0.25, 0.5))
    walk = np.cumsum(rng.normal(0, 0.25, size=(FRAMES, 2)), axis=0)
    # What moves right in the picture is read further left; axes here are down and right.
    shifts = np.clip(walk - walk.mean(0), -_MARGIN + 1, _MARGIN - 2) - camera[:, ::-1] + margin
    whole = np.floor(shifts).astype(int)
    part = (shifts - whole).astype(np.float32)
    clip = np.empty((FRAMES, SIZE, SIZE, 3), np.float32)
    for frame, ((y, x), (v, u)) in enumerate(zip(whole, part, strict=True)):
        rows = canvas[y : y + SIZE + 1, x : x + SIZE + 1]
        rows = rows[:-1] * (1 - v) + rows[1:] * v
        clip[frame] = rows[:, :-1] * (1 - u) + rows[:, 1:] * u
    return clip


def _resize(image: Floats, size: int) -> Floats:
    """Return a square image scaled to ``size`` pixels, linearly."""
    at = np.clip((np.arange(size) + 0.5) * len(image) / size - 0.5, 0, len(image) - 1)
    low = np.minimum(at.astype(int), len(image) - 2)
    part = (at - low).astype(np.float32)
    rows = image[low] * (1 - part)[:, None, None] + image[low + 1] * part[:, None, None]
    resized: Floats = rows[:, low] * (1 - part)[None, :, None] + rows[:, low + 1] * part[None, :, None]
    return resized
