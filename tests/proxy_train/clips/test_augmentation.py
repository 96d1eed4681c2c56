"""Clips change as wholes: one box, one mirror image, one change of colour and shape for all frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from proxy_train.clips.augmentation import Augmentation, mixup
from proxy_train.clips.clip_operations import OPERATIONS
from proxy_train.clips.policies import V0, auto_augment, rand_augment
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import Split

Clip = npt.NDArray[np.uint8]


def photograph(height: int = 24, width: int = 30, seed: int = 0) -> Clip:
    """One frame with smooth shades and some noise."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    shades = np.stack([80 * rows + 60, 120 * columns + 30, 90 * rows * columns + 20], axis=-1)
    return (shades + rng.integers(0, 30, shades.shape)).astype(np.uint8)


class Signs(np.random.Generator):
    """A generator whose coin always falls on one side."""

    def __init__(self, value: float) -> None:
        super().__init__(np.random.PCG64(0))
        self._value = value

    def random(self, *_: object, **__: object) -> float:  # type: ignore[override]
        return self._value


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("magnitude", [0, 3.5, 10])
def test_operations_treat_frames_alike_and_leave_their_input(name: str, magnitude: float) -> None:
    clip = np.repeat(photograph()[None], 5, axis=0)
    before = clip.copy()
    changed = OPERATIONS[name](clip, magnitude, np.random.default_rng(1))
    assert changed.shape == clip.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(clip, before)
    np.testing.assert_array_equal(changed, np.repeat(changed[:1], 5, axis=0))
    again = OPERATIONS[name](clip, magnitude, np.random.default_rng(1))
    np.testing.assert_array_equal(changed, again)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "solarize"])
def test_operations_change_something(name: str) -> None:
    clip = photograph()[None]
    assert (OPERATIONS[name](clip, 7, np.random.default_rng(0)) != clip).any()


# Pillow's operations are what both methods were first made of.
PILLOW: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "auto_contrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    "posterize": lambda image, m: ImageOps.posterize(image, int(m * 0.4)),
    "solarize": lambda image, m: ImageOps.solarize(image, int(m * 25.6)),
    "color": lambda image, m: ImageEnhance.Color(image).enhance(0.18 * m + 0.1),
    "contrast": lambda image, m: ImageEnhance.Contrast(image).enhance(0.18 * m + 0.1),
    "brightness": lambda image, m: ImageEnhance.Brightness(image).enhance(0.18 * m + 0.1),
    "sharpness": lambda image, m: ImageEnhance.Sharpness(image).enhance(0.18 * m + 0.1),
}


@pytest.mark.parametrize("name", PILLOW)
@pytest.mark.parametrize("magnitude", [2.5, 5, 9])
def test_tones_are_those_of_pillow(name: str, magnitude: float) -> None:
    frame = photograph()
    expected = np.asarray(PILLOW[name](Image.fromarray(frame), magnitude)).astype(int)
    found = OPERATIONS[name](frame[None], magnitude, np.random.default_rng(0))[0].astype(int)
    # It rounds greys and softened pixels to whole tones before it blends.
    assert np.abs(found - expected).max() <= 2


@pytest.mark.parametrize(
    ("name", "angle", "matrix"),
    [
        ("rotate", 15, None),
        ("shear_x", None, (1, 0.15, 0, 0, 1, 0)),
        ("shear_y", None, (1, 0, 0, 0.15, 1, 0)),
        ("translate_x", None, (1, 0, 0.225 * 40, 0, 1, 0)),
        ("translate_y", None, (1, 0, 0, 0, 1, 0.225 * 40)),
    ],
)
def test_shapes_are_those_of_pillow(name: str, angle: float | None, matrix: tuple[float, ...] | None) -> None:
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[10:30, 16:24], frame[10:14, 24:32] = 250, 250
    image = Image.fromarray(frame)
    grey = (128, 128, 128)
    candidates = []
    for sign in (0.0, 0.9):
        found = OPERATIONS[name](frame[None], 5, Signs(sign))[0]
        if matrix is None:
            expected = image.rotate(angle or 0, fillcolor=grey)
        else:
            # Pillow's transform is about the corner: shear about the centre moves the other coordinate.
            a, b, c, d, e, f = matrix
            centred = (a, b, c - 19.5 * b, d, e, f - 19.5 * d)
            expected = image.transform((40, 40), Image.Transform.AFFINE, centred, fillcolor=grey)
        candidates.append(float((np.abs(found.astype(int) - np.asarray(expected)) > 60).mean()))
    assert min(candidates) < 0.03, "one of the two signs is Pillow's, but for pixels on edges"
    assert max(candidates) > 0.1, "and the other goes the other way"


def test_cutout_covers_one_place_in_all_frames() -> None:
    clip = np.zeros((4, 30, 30, 3), np.uint8)
    changed = OPERATIONS["cutout"](clip, 10, np.random.default_rng(3))
    covered = (changed == 128).all(-1)
    assert (covered == covered[0]).all() and 0 < covered[0].mean() <= (11 / 30) ** 2


def test_every_policy_is_of_known_operations_and_all_are_drawn() -> None:
    assert len(V0) == 25
    for policy in V0:
        for name, probability, magnitude in policy:
            assert name in OPERATIONS and 0 <= probability <= 1 and 0 <= magnitude <= 10
    clip = photograph(8, 8)[None]
    rng = np.random.default_rng(0)
    assert len({auto_augment(clip, rng).tobytes() for _ in range(200)}) > 20
    assert len({rand_augment(clip, 2, 9, rng).tobytes() for _ in range(200)}) > 40


def prepared(split: Split, *, flips_change_labels: bool, frames: int = 4, size: int = 16) -> PreparedData:
    data = object.__new__(PreparedData)
    values = {"frames": frames, "size": size, "splits": {"train": split}}
    for key, value in (values | {"flips_change_labels": flips_change_labels}).items():
        object.__setattr__(data, key, value)
    return data


def moving_split() -> Split:
    """Clips whose left half is dark and whose right half is bright, all frames alike."""
    frame = np.zeros((20, 20, 3), np.uint8)
    frame[:, 10:] = 200
    clips = np.tile(frame, (6, 8, 1, 1, 1))
    return Split(clips, np.arange(6), np.zeros(6, np.int64), np.full(6, 8), tuple("abcdef"))


RECIPES = {
    "shifts": {"photometric": 0.2},
    "boxes": {"box_area": 0.3},
    "autoaugment": {"policy": "autoaugment"},
    "randaugment": {"policy": "randaugment", "policy_magnitude": 5},
    "all": {"box_area": 0.3, "policy": "randaugment", "photometric": 0.2},
}


def changed(augmentation: Augmentation, split: Split, clips: int, rng: np.random.Generator) -> torch.Tensor:
    """The first clips of a split, as a training gets them."""
    ranges = augmentation.frame_ranges(split, np.arange(clips), rng)
    return augmentation.changed(split.read_all(ranges), clips, rng)


@pytest.mark.parametrize("name", RECIPES)
def test_frames_of_a_clip_change_alike_and_a_seed_decides(name: str) -> None:
    split = moving_split()
    recipe = Recipe.model_validate(RECIPES[name])
    augmentation = Augmentation.of(recipe, prepared(split, flips_change_labels=False))
    batch = changed(augmentation, split, 6, np.random.default_rng(0))
    assert batch.shape == (6, 3, 4, 16, 16) and batch.dtype == torch.float32
    assert float(batch.min()) >= 0 and float(batch.max()) <= 1
    assert torch.equal(batch, batch[:, :, :1].expand_as(batch))
    again = changed(augmentation, split, 6, np.random.default_rng(0))
    assert torch.equal(batch, again)
    assert not torch.equal(batch[0], batch[1]), "each clip is changed in its own way"


@pytest.mark.parametrize("area", [1.0, 0.3])
def test_clips_are_mirrored_only_where_labels_allow_it(area: float) -> None:
    split = moving_split()
    recipe = Recipe.model_validate({"photometric": 0, "box_area": area})
    for forbidden in (True, False):
        augmentation = Augmentation.of(recipe, prepared(split, flips_change_labels=forbidden))
        rng = np.random.default_rng(0)
        batches = [changed(augmentation, split, 6, rng) for _ in range(10)]
        slopes = torch.cat(batches)[:, 0, 0].mean(1).diff(dim=1).sum(1)
        assert bool((slopes < -0.1).any()) != forbidden


def test_boxes_have_the_areas_and_aspects_asked_for() -> None:
    rows, columns = np.mgrid[:40, :40].astype(np.uint8)
    places = np.stack([rows, columns, rows], axis=-1)
    split = Split(
        np.tile(places, (1, 4, 1, 1, 1)), np.arange(1), np.zeros(1, np.int64), np.full(1, 4), ("a",)
    )
    recipe = Recipe.model_validate({"photometric": 0, "flip": False, "box_area": 0.2, "box_aspect": 1.5})
    augmentation = Augmentation.of(recipe, prepared(split, flips_change_labels=False, size=32))
    rng = np.random.default_rng(0)
    batch = torch.cat([changed(augmentation, split, 1, rng) for _ in range(200)])[:, :, 0] * 255
    # How many of the stored pixels lie between the outermost ones of the box.
    height = (batch[:, 0, -1] - batch[:, 0, 0]).mean(-1) + 1.2
    width = (batch[:, 1, :, -1] - batch[:, 1, :, 0]).mean(-1) + 1.2
    area = height * width / 1600
    assert 0.17 < float(area.min()) < 0.3 and float(area.max()) > 0.85
    assert 1.2 < float((width / height).max()) < 1.65 and 0.6 < float((width / height).min()) < 0.84


def test_mixup_blends_whole_clips_with_their_partners() -> None:
    clips = torch.arange(4.0).view(4, 1, 1, 1, 1).expand(4, 3, 2, 5, 5)
    mixed = mixup(clips, 0.4, np.random.default_rng(1))
    assert sorted(mixed.partners.tolist()) == [0, 1, 2, 3] and 0 < mixed.weight < 1
    expected = mixed.weight * clips + (1 - mixed.weight) * clips[mixed.partners]
    torch.testing.assert_close(mixed.clips, expected)
    weights = [mixup(clips, 0.4, np.random.default_rng(seed)).weight for seed in range(300)]
    # Beta(0.4, 0.4): mean 1/2, variance 1/4 / 1.8.
    assert abs(np.mean(weights) - 0.5) < 0.07 and abs(np.var(weights) - 0.25 / 1.8) < 0.02
    unmixed = mixup(clips, 0, np.random.default_rng(0))
    assert unmixed.weight == 1 and torch.equal(unmixed.clips, clips)
