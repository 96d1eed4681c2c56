"""Training clips: random frames, a random box, one flip and one change of colour for all frames of a clip.

Everything is drawn once a clip, so that motion within it stays what it was; time is never reversed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from proxy_train.clips.policies import auto_augment, rand_augment
from proxy_train.clips.targets import on_device
from proxy_train.recipe import Recipe
from proxy_train.store.clip_origins import Pixels
from proxy_train.store.prepared_data import PreparedData
from proxy_train.store.split import FrameRange, Split

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """The possible changes of a ``frames`` x ``size`` x ``size`` clip; ``flip`` only if it keeps labels."""

    frames: int
    size: int
    shift: int
    photometric: float
    flip: bool
    box_area: float = 1.0
    box_aspect: float = 2.0
    policy: str = "none"
    policy_layers: int = 2
    policy_magnitude: float = 9.0

    @classmethod
    def of(cls, recipe: Recipe, data: PreparedData) -> Augmentation:
        """Return the augmentation of a recipe, as far as the data set allows it."""
        flip = recipe.flip and not data.flips_change_labels
        return cls(
            data.frames,
            data.size,
            round(recipe.shift * data.size),
            recipe.photometric,
            flip,
            recipe.box_area,
            recipe.box_aspect,
            recipe.policy,
            recipe.policy_layers,
            recipe.policy_magnitude,
        )

    def frame_ranges(
        self, split: Split, indices: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> list[FrameRange]:
        """Draw a random range of frames of each clip."""
        starts = rng.integers(0, np.maximum(1, split.lengths[indices] - self.frames + 1))
        pairs = zip(indices.tolist(), starts.tolist(), strict=True)
        return [FrameRange(index, start, self.frames) for index, start in pairs]

    def changed(self, clips: Iterator[Pixels], count: int, rng: np.random.Generator) -> Tensor:
        """Change the next clips at random.

        Args:
            clips: uint8 (frames, side, side, 3) each.
            count: number of clips to take.
            rng: the random generator.

        Returns:
            float32 (count, 3, frames, size, size) in 0..1, channels innermost.
        """
        batch = np.empty((count, self.frames, self.size, self.size, 3), np.uint8)
        for place, clip in enumerate(islice(clips, count)):
            if self.box_area < 1:
                batch[place] = self._random_box(clip, rng)
            else:
                self._shifted_box(clip, rng, batch[place])
            if self.policy == "autoaugment":
                batch[place] = auto_augment(batch[place], rng)
            elif self.policy == "randaugment":
                batch[place] = rand_augment(batch[place], self.policy_layers, self.policy_magnitude, rng)
        return self._recolour(torch.from_numpy(batch), rng)

    def _shifted_box(self, clip: Pixels, rng: np.random.Generator, out: Pixels) -> None:
        """Cut a box of the clip's size, up to ``shift`` outside the picture, where the border is repeated."""
        side, size = clip.shape[1], self.size
        top, left = rng.integers(-self.shift, side - size + self.shift + 1, size=2).tolist()
        rows, columns = (slice(max(0, at), min(side, at + size)) for at in (top, left))
        above, below = rows.start - top, rows.stop - top
        before, behind = columns.start - left, columns.stop - left
        # Slices are copied ten times as fast as rows and columns picked by their numbers.
        band = out[:, above:below]
        band[:, :, before:behind] = clip[:, rows, columns]
        band[:, :, :before] = band[:, :, before : before + 1]
        band[:, :, behind:] = band[:, :, behind - 1 : behind]
        out[:, :above] = out[:, above : above + 1]
        out[:, below:] = out[:, below - 1 : below]
        if self.flip and rng.random() < 0.5:
            out[:] = out[:, :, ::-1].copy()

    def _random_box(self, clip: Pixels, rng: np.random.Generator) -> Pixels:
        """Cut a box of random area and aspect, scaled to the clip's size (Szegedy et al., CVPR 2015)."""
        side = clip.shape[1]
        width = height = side
        for _ in range(10):
            area = rng.uniform(self.box_area, 1) * side * side
            aspect = math.exp(rng.uniform(-1, 1) * math.log(self.box_aspect))
            across, down = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < across <= side and 0 < down <= side:
                width, height = across, down
                break
        top, left = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
        box = torch.from_numpy(clip[:, top : top + height, left : left + width].copy()).permute(0, 3, 1, 2)
        size = (self.size, self.size)
        scaled = F.interpolate(box, size, mode="bilinear", antialias=True).permute(0, 2, 3, 1)
        if self.flip and rng.random() < 0.5:
            scaled = scaled.flip(2)
        pixels: Pixels = scaled.numpy()
        return pixels

    def _recolour(self, batch: Tensor, rng: np.random.Generator) -> Tensor:
        """Apply a gain and an offset to every clip and channel: brightness, contrast and tint."""
        strength, count = self.photometric, len(batch)
        pixels = torch.empty(batch.shape, dtype=torch.float32)
        # Clip by clip, which stay in the cache, and by whole rows of pixels, which keep vector units busy.
        clips, changed = (tensor.view(count, -1, 3 * self.size) for tensor in (batch, pixels))
        if strength > 0:
            gain = rng.uniform(1 - strength, 1 + strength, (count, 1)) * rng.uniform(
                1 - strength / 2, 1 + strength / 2, (count, 3)
            )
            offset = rng.uniform(-strength / 4, strength / 4, (count, 1)) * np.ones((1, 3))
            gains, offsets = (
                torch.from_numpy(np.tile(values, (1, self.size))).to(torch.float32)
                for values in (gain / 255, offset)
            )
            for source, clip, times, plus in zip(clips, changed, gains, offsets, strict=True):
                torch.mul(source, times, out=clip).add_(plus).clamp_(0, 1)
        else:
            for source, clip in zip(clips, changed, strict=True):
                torch.div(source, 255, out=clip)
        return pixels.permute(0, 4, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Mixed:
    """Clips blended in pairs: ``weight`` of each and 1 - ``weight`` of its partner.

    The loss to take is ``weight`` times that against the clips' own labels plus 1 - ``weight`` times that
    against ``labels[partners]``, whatever kind the labels are.

    Args:
        clips: the blended clips, of the same shape.
        partners: index of each clip's partner: int64 (batch,).
        weight: share of each clip's own pixels, between 0 and 1.
    """

    clips: Tensor
    partners: Tensor
    weight: float


def mixup(clips: Tensor, alpha: float, rng: np.random.Generator) -> Mixed:
    """Blend whole clips, all frames alike, by a weight from Beta(alpha, alpha) (Zhang et al., ICLR 2018).

    Args:
        clips: float (batch, ...), of any shape.
        alpha: parameter of the distribution; 0 blends nothing.
    """
    if alpha <= 0:
        return Mixed(clips, torch.arange(len(clips), device=clips.device), 1.0)
    weight = float(rng.beta(alpha, alpha))
    partners = on_device(torch.from_numpy(rng.permutation(len(clips))), str(clips.device))
    return Mixed(torch.lerp(clips[partners], clips, weight), partners, weight)


def evaluation_batch(split: Split, indices: Indices | range, frames: int, size: int) -> Tensor:
    """Return the middle frames and the centre square of each clip, in ``Augmentation.changed``'s form."""
    corner = (split.side - size) // 2
    batch = np.empty((len(indices), frames, size, size, 3), np.uint8)
    for place, index in enumerate(indices):
        start = max(0, (int(split.lengths[index]) - frames) // 2)
        clip = split.read(FrameRange(int(index), start, frames))
        batch[place] = clip[:, corner : corner + size, corner : corner + size]
    return (torch.from_numpy(batch).to(torch.float32) / 255).permute(0, 4, 1, 2, 3)
