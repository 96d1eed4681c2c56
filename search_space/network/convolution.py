"""Convolutions over frames folded into the batch, in the memory order that is fast on CPUs and GPUs.

A tensor of folded frames has shape (batch * frames, channels, height, width) with channels innermost in
memory (``torch.channels_last``). The same memory, without a copy, is also a clip (batch, channels, frames,
height, width) with channels innermost, and an image (batch, channels, frames, height * width) of which a k_t
x 1 convolution is the temporal convolution. So no layer ever transposes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from search_space.errors import NetworkError
from search_space.network.depthwise import FAST_COLUMNS, depthwise, records_gradient

NARROW = 24  # channels
ONEDNN_IMAGES = 16  # from this number of images PyTorch calls oneDNN for 1x1 convolutions


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the zeros before and after one axis for TensorFlow's "SAME"; stride 2 and even sizes differ."""
    total = max(kernel - (stride if size % stride == 0 else size % stride), 0)
    return total // 2, total - total // 2


def strided(size: int, stride: int) -> int:
    """Return the length of an axis after a "SAME" convolution: ceil(size / stride)."""
    return -(-size // stride)


def pad_same(x: Tensor, kernel: int, stride: int) -> tuple[Tensor, tuple[int, int]]:
    """Pad the last two axes where "SAME" is asymmetric; also return the symmetric padding yet to do."""
    top, bottom = same_padding(x.shape[-2], kernel, stride)
    left, right = same_padding(x.shape[-1], kernel, stride)
    if top == bottom and left == right:
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom)), (0, 0)


def prepare_same(x: Tensor, weight: Tensor, stride: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return image, kernel and symmetric padding of a depthwise "SAME" convolution.

    Where "SAME" is asymmetric, the row and the column of zeros may go to the kernel instead of the image: no
    copy, and an image of even width, which the gradient of wide kernels likes. It pays for 5 columns.
    """
    kernel = weight.shape[-1]
    top, bottom = same_padding(x.shape[-2], kernel, stride)
    left, right = same_padding(x.shape[-1], kernel, stride)
    zeros = (bottom - top, right - left)
    if FAST_COLUMNS < kernel < 2 * FAST_COLUMNS and zeros == (1, 1) and records_gradient(x, weight):
        return x, F.pad(weight, (1, 0, 1, 0)), (bottom, right)
    x, padding = pad_same(x, kernel, stride)
    return x, weight, padding


def convolve_frames(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, groups: int) -> Tensor:
    """Convolve every frame, 2-D "SAME"; ``weight`` (out, in / groups, k, k), ``x`` folded frames."""
    if groups > 1:
        x, weight, padding = prepare_same(x, weight, stride)
        return depthwise(x, weight, bias, stride, padding)
    x, padding = pad_same(x, weight.shape[-1], stride)
    if weight.shape[-1] == 1 and min(weight.shape[:2]) < NARROW and records_gradient(x, weight):
        return _convolve_narrow(x, weight)
    return F.conv2d(x, weight, bias, stride, padding)


def _convolve_narrow(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve few channels, 1x1, with a fast gradient.

    With one thread and fewer than 16 images PyTorch takes a plain matrix product, whose gradient is up to
    four times slower for few channels than oneDNN's. Positions are as good as images for a 1x1 convolution,
    so their number is a matter of the view.
    """
    images, channels, height, width = x.shape
    if images >= ONEDNN_IMAGES or images * height < ONEDNN_IMAGES:
        return F.conv2d(x, weight)
    rows = images * height * width
    parts = ONEDNN_IMAGES if rows % ONEDNN_IMAGES == 0 else images * height
    view = x.permute(0, 2, 3, 1).reshape(parts, rows // parts, 1, channels).permute(0, 3, 1, 2)
    y = F.conv2d(view, weight).permute(0, 2, 3, 1).reshape(images, height, width, weight.shape[0])
    return y.permute(0, 3, 1, 2)


def average_pool_same(x: Tensor, stride: int) -> Tensor:
    """Average pooling 1x3x3 with the spatial ``stride`` of 2, "SAME", padded cells not counted."""
    before = (same_padding(x.shape[-2], 3, stride)[0], same_padding(x.shape[-1], 3, stride)[0])
    # Where "SAME" pads only after (even sizes), ceil_mode lets the last window hang over, uncounted.
    return F.avg_pool2d(x, 3, stride, before, ceil_mode=True, count_include_pad=False)


def fold_frames(clip: Tensor) -> Tensor:
    """Fold (batch, channels, frames, height, width); copy only if the memory order differs."""
    batch, channels, frames, height, width = clip.shape
    rows = clip.permute(0, 2, 3, 4, 1).reshape(batch * frames, height, width, channels)
    return rows.permute(0, 3, 1, 2)


def to_rows(x: Tensor, frames: int) -> Tensor:
    """Return the folded frames as (batch, frames, height * width, channels), contiguous."""
    folded, channels, height, width = x.shape
    return x.permute(0, 2, 3, 1).reshape(folded // frames, frames, height * width, channels)


def from_rows(rows: Tensor, height: int, width: int) -> Tensor:
    """Return the folded frames of rows, the inverse of ``to_rows``."""
    batch, frames, _, channels = rows.shape
    return rows.reshape(batch * frames, height, width, channels).permute(0, 3, 1, 2)


def convolve_time(rows: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
    """Convolve rows (batch, frames, positions, channels) over time, depthwise, k_t x 1 x 1.

    Args:
        rows: contiguous rows, with the frames of the past already before them if the convolution is causal.
        weight: (channels, 1, k_t, 1).
        bias: (channels,) or None.
        padding: zero frames on both sides.

    Returns:
        Rows (batch, frames + 2 * padding - k_t + 1, positions, channels), contiguous.
    """
    y = depthwise(rows.permute(0, 3, 1, 2), weight, bias, 1, (padding, 0))
    return y.permute(0, 2, 3, 1)


def convolve_clip(
    rows: Tensor, weight: Tensor, bias: Tensor | None, size: tuple[int, int], *, stride: int, padding: int
) -> Tensor:
    """Convolve rows (batch, frames, positions, channels) depthwise in 3-D, spatially "SAME".

    Args:
        rows: contiguous rows.
        weight: (channels, 1, k_t, k_s, k_s).
        bias: (channels,) or None.
        size: height and width of the rows.
        stride: stride in space; there is no temporal stride.
        padding: zero frames on both sides.

    Returns:
        Folded frames.
    """
    batch, frames, _, channels = rows.shape
    clip = rows.reshape(batch, frames, *size, channels).permute(0, 4, 1, 2, 3)
    clip, weight, (top, left) = prepare_same(clip, weight, stride)
    y = depthwise(clip, weight, bias, stride, (padding, top, left))
    return fold_frames(y)


def spatial_mean(x: Tensor) -> Tensor:
    """Return the mean over space of folded frames: (batch * frames, channels)."""
    return x.mean((2, 3))


def squeeze_space(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return folded frames and their mean over space: together they save a pass over them going back."""
    if torch.is_grad_enabled() and x.requires_grad and not is_recording():
        through, mean = _SqueezeSpace.apply(x)  # type: ignore[no-untyped-call]
        return through, mean
    return x, spatial_mean(x)


class _SqueezeSpace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.positions = x.shape[2] * x.shape[3]
        return x.view_as(x), spatial_mean(x)

    @staticmethod
    def backward(ctx: Any, through: Tensor, mean: Tensor) -> Tensor:
        into_x: Tensor = through + (mean / ctx.positions).to(through.dtype)[:, :, None, None]
        return into_x


def is_recording() -> bool:
    """Return whether operations are recorded for export or counting: only plain ones may appear then."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def check_clip(clip: Tensor, weight: Tensor, what: str) -> None:
    """Refuse what a network cannot take as a clip; nothing while operations are recorded.

    Args:
        clip: the tensor that the caller gave.
        weight: a weight of the network, whose type and device the clip must have.
        what: name of the argument, for the message.

    Raises:
        NetworkError: wrong rank, channels, size, type or device.
    """
    if is_recording():
        return
    if clip.ndim != 5:
        raise NetworkError(
            f"{what}: expected 5 axes (batch, 3, frames, height, width), got {tuple(clip.shape)}"
        )
    if clip.shape[1] != 3:
        raise NetworkError(f"{what}: expected 3 channels on axis 1, got {clip.shape[1]} {tuple(clip.shape)}")
    if min(clip.shape) < 1:
        raise NetworkError(f"{what}: expected at least one of everything, got shape {tuple(clip.shape)}")
    if clip.dtype != weight.dtype and not torch.is_autocast_enabled(clip.device.type):
        hint = "divide by 255 and convert" if clip.dtype == torch.uint8 else "convert the clip or the network"
        raise NetworkError(f"{what}: expected {weight.dtype}, got {clip.dtype}", hint=hint)
    if clip.device != weight.device:
        raise NetworkError(f"{what}: expected device {weight.device}, got {clip.device}")
