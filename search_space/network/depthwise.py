"""Depthwise convolution with gradients that are fast on a CPU.

PyTorch's forward pass is fast for channels innermost in memory; its gradients are not: a 3-D depthwise
backward runs one matrix product per channel, the 2-D weight gradient of kernels wider than 3 a slow fallback.
The gradients here are made of the operations that are fast: the gradient of the input is, at stride 1, a
forward pass with the kernel turned around; the gradient of a 3-D kernel is one 2-D gradient for each tap in
time, that of a wide kernel one for every three columns.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Size = tuple[int, ...]
FAST_COLUMNS = 3  # the widest kernel of oneDNN's fast weight gradient
CUT_POSITIONS = 25  # below so many pixels, cutting a wide kernel into columns loses


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Size) -> Tensor:
    """A depthwise convolution of images or clips.

    Args:
        x: (n, channels, height, width) or (n, channels, frames, height, width), channels innermost in memory.
        weight: (channels, 1, ...) of the same rank.
        bias: (channels,) or None.
        stride: of height and width; frames have none.
        padding: zeros on both sides of each axis.
    """
    slow_natively = x.ndim == 5 or (
        weight.shape[-1] > FAST_COLUMNS and x.shape[2] * x.shape[3] >= CUT_POSITIONS
    )
    if slow_natively and bias is None and records_gradient(x, weight):
        out: Tensor = _Depthwise.apply(x, weight, stride, padding)  # type: ignore[no-untyped-call]
        return out
    return _convolve(x, weight, bias, stride, padding)


def records_gradient(x: Tensor, weight: Tensor) -> bool:
    if not torch.is_grad_enabled() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False  # counting and exporting want to see plain convolutions
    return x.requires_grad or weight.requires_grad


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Size) -> Tensor:
    groups = weight.shape[0]
    if x.ndim == 4:
        return F.conv2d(x, weight, bias, stride, padding, 1, groups)
    return F.conv3d(x, weight, bias, (1, stride, stride), padding, 1, groups)


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: Size) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return _convolve(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        order = torch.channels_last if x.ndim == 4 else torch.channels_last_3d
        gradient = gradient.contiguous(memory_format=order)
        for_x = (
            input_gradient(gradient, x.shape, weight, ctx.stride, ctx.padding)
            if ctx.needs_input_grad[0]
            else None
        )
        for_weight = (
            weight_gradient(gradient, x, weight.shape, ctx.stride, ctx.padding)
            if ctx.needs_input_grad[1]
            else None
        )
        return for_x, for_weight, None, None


def input_gradient(gradient: Tensor, shape: Size, weight: Tensor, stride: int, padding: Size) -> Tensor:
    """The gradient of ``depthwise`` to its input of this ``shape``."""
    if stride == 1:
        axes = list(range(2, weight.ndim))
        turned = tuple(size - 1 - pad for size, pad in zip(weight.shape[2:], padding, strict=True))
        return _convolve(gradient, weight.flip(axes), None, 1, turned)
    if len(shape) == 4:
        return _input_gradient_2d(gradient, shape, weight, stride, padding)
    batch, channels, frames, height, width = shape
    images = _images(gradient)
    total = gradient.new_zeros(batch, frames, height, width, channels)
    for tap in range(weight.shape[2]):
        part = _input_gradient_2d(
            images, (images.shape[0], channels, height, width), weight[:, :, tap], stride, padding[1:]
        )
        part = part.permute(0, 2, 3, 1).view(batch, gradient.shape[2], height, width, channels)
        into, out_of = _shifted(tap - padding[0], frames, gradient.shape[2])
        total[:, into] += part[:, out_of]
    return total.permute(0, 4, 1, 2, 3)


def weight_gradient(gradient: Tensor, x: Tensor, shape: Size, stride: int, padding: Size) -> Tensor:
    """The gradient of ``depthwise`` to its weight of this ``shape``."""
    if len(shape) == 4:
        return _weight_gradient_2d(gradient, x, shape, stride, padding)
    flat = (shape[0], 1, *shape[3:])
    taps = []
    for tap in range(shape[2]):
        of_x, of_gradient = _shifted(tap - padding[0], x.shape[2], gradient.shape[2])
        if of_x.stop <= of_x.start:
            taps.append(gradient.new_zeros(flat))
            continue
        images = _images(gradient[:, :, of_gradient])
        taps.append(_weight_gradient_2d(images, _images(x[:, :, of_x]), flat, stride, padding[1:]))
    return torch.stack(taps, 2)


def _weight_gradient_2d(gradient: Tensor, x: Tensor, shape: Size, stride: int, padding: Size) -> Tensor:
    columns = shape[3]
    if columns <= FAST_COLUMNS:
        return _native(gradient, x, x.new_empty(shape), stride=stride, padding=padding, to_weight=True)
    padded = F.pad(x, (padding[1], padding[1]))
    parts = []
    for first in range(0, columns, FAST_COLUMNS):
        count = min(FAST_COLUMNS, columns - first)
        seen = padded[..., first : first + (gradient.shape[3] - 1) * stride + count]
        seen = seen.contiguous(memory_format=torch.channels_last)
        part = x.new_empty(*shape[:3], count)
        parts.append(_native(gradient, seen, part, stride=stride, padding=(padding[0], 0), to_weight=True))
    return torch.cat(parts, 3)


def _input_gradient_2d(gradient: Tensor, shape: Size, weight: Tensor, stride: int, padding: Size) -> Tensor:
    like = torch.empty(shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last)
    return _native(gradient, like, weight.contiguous(), stride=stride, padding=padding, to_weight=False)


def _native(
    gradient: Tensor, x: Tensor, weight: Tensor, *, stride: int, padding: Size, to_weight: bool
) -> Tensor:
    """PyTorch's own 2-D gradient, to the weight or to the input."""
    strides, groups, wanted = [stride, stride], weight.shape[0], [not to_weight, to_weight, False]
    result: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, strides, list(padding), [1, 1], False, [0, 0], groups, wanted
    )
    return result[int(to_weight)]


def _images(clip: Tensor) -> Tensor:
    batch, channels, frames, height, width = clip.shape
    return clip.permute(0, 2, 3, 4, 1).reshape(batch * frames, height, width, channels).permute(0, 3, 1, 2)


def _shifted(offset: int, inputs: int, outputs: int) -> tuple[slice, slice]:
    """Frames of the input, and frames of the output that see them through the tap ``offset`` away."""
    first, last = max(0, -offset), min(outputs, inputs - offset)
    return slice(first + offset, max(first, last) + offset), slice(first, max(first, last))
