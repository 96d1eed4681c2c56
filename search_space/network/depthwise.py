"""Depthwise convolutions with gradients that are fast on a CPU.

PyTorch's forward pass is fast for channels innermost in memory; its gradients are not: a 3-D depthwise
backward runs one matrix product per channel, the 2-D weight gradient of kernels wider than 3 a slow fallback.
The gradients here are made of the operations that are fast: the gradient of the input is a forward pass with
the kernel turned around, with zeros between the positions of a strided clip; the gradient of a 3-D kernel is
one 2-D gradient for each tap in time, that of a wide kernel one for every three columns, or with stride 2 one
over pairs of columns, and that of a few pixels one product for each position of the output.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Size = tuple[int, ...]
FAST_COLUMNS = 3  # the widest kernel of oneDNN's fast weight gradient
CUT_POSITIONS = 25  # below this number of pixels, cutting a wide kernel into columns loses
WIDE_CHANNELS = 64


def depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Size) -> Tensor:
    """Convolve images or clips depthwise.

    Args:
        x: (n, channels, height, width) or (n, channels, frames, height, width), channels innermost in memory.
        weight: (channels, 1, ...) of the same rank.
        bias: (channels,) or None.
        stride: stride of height and width; frames have none.
        padding: zeros on both sides of each axis.
    """
    slow_natively = (
        x.ndim == 5 or weight.shape[-1] > FAST_COLUMNS or _few_pixels(x.shape, weight.shape, stride, padding)
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
    if _gradient_needs_zeros(x, weight):
        x, padding = F.pad(x, [zeros for size in reversed(padding) for zeros in (size, size)]), (0, 0, 0)
    return F.conv3d(x, weight, bias, (1, stride, stride), padding, 1, groups)


def _gradient_needs_zeros(x: Tensor, weight: Tensor) -> bool:
    """Tell whether zeros around the clip have to be written out before it is convolved.

    oneDNN's gradient of a 3-D depthwise kernel in bfloat16 leaves elements of it as it finds them in memory
    when the clip has fewer frames, rows or columns than the kernel.
    """
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
        return False
    return any(size < wide for size, wide in zip(x.shape[2:], weight.shape[2:], strict=True))


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
    """Return the gradient of ``depthwise`` to its input of this ``shape``."""
    if stride == 1:
        axes = list(range(2, weight.ndim))
        turned = tuple(size - 1 - pad for size, pad in zip(weight.shape[2:], padding, strict=True))
        return _convolve(gradient, weight.flip(axes), None, 1, turned)
    if len(shape) == 4:
        return _input_gradient_2d(gradient, shape, weight, stride, padding)
    batch, channels, _, *space = shape
    frames, rows, columns = gradient.shape[2:]
    # The number of positions from which the turned kernel gives the input's size.
    height, width = (n + 2 * p - k + 1 for n, p, k in zip(space, padding[1:], weight.shape[3:], strict=True))
    apart = gradient.new_zeros(batch, frames, height, width, channels)
    apart[:, :, : rows * stride : stride, : columns * stride : stride] = gradient.permute(0, 2, 3, 4, 1)
    turned = tuple(size - 1 - pad for size, pad in zip(weight.shape[2:], padding, strict=True))
    return _convolve(apart.permute(0, 4, 1, 2, 3), weight.flip((2, 3, 4)), None, 1, turned)


def weight_gradient(gradient: Tensor, x: Tensor, shape: Size, stride: int, padding: Size) -> Tensor:
    """Return the gradient of ``depthwise`` to its weight of this ``shape``."""
    if len(shape) == 4:
        return _weight_gradient_2d(gradient, x, shape, stride, padding)
    flat = (shape[0], 1, *shape[3:])
    # With the frames outermost, those that a tap sees are one piece of memory, without a copy for each tap.
    of_x, of_gradient = _frames_outermost(x), _frames_outermost(gradient)
    batch, taps = x.shape[0], []
    for tap in range(shape[2]):
        offset = tap - padding[0]
        first, last = max(0, -offset), min(gradient.shape[2], x.shape[2] - offset)
        if last <= first:
            taps.append(gradient.new_zeros(flat))
            continue
        images = of_gradient.narrow(0, first * batch, (last - first) * batch)
        seen = of_x.narrow(0, (first + offset) * batch, (last - first) * batch)
        taps.append(_weight_gradient_2d(images, seen, flat, stride, padding[1:]))
    return torch.stack(taps, 2)


def _frames_outermost(clip: Tensor) -> Tensor:
    """Return a clip's frames as images (frames * batch, channels, height, width), channels innermost."""
    return clip.permute(2, 0, 3, 4, 1).flatten(0, 1).permute(0, 3, 1, 2)


def _weight_gradient_2d(gradient: Tensor, x: Tensor, shape: Size, stride: int, padding: Size) -> Tensor:
    columns = shape[3]
    if _few_pixels(x.shape, shape, stride, padding):
        return _weight_gradient_by_position(gradient, x, shape, stride, padding)
    if columns <= FAST_COLUMNS or x.shape[2] * x.shape[3] < CUT_POSITIONS:
        return _native(gradient, x, x.new_empty(shape), stride=stride, padding=padding, to_weight=True)
    if stride == 2 and x.shape[3] == 2 * gradient.shape[3] and columns <= 2 * FAST_COLUMNS:
        return _weight_gradient_of_pairs(gradient, x, shape, padding)
    padded = F.pad(x, (padding[1], padding[1]))
    parts = []
    for first in range(0, columns, FAST_COLUMNS):
        count = min(FAST_COLUMNS, columns - first)
        seen = padded[..., first : first + (gradient.shape[3] - 1) * stride + count]
        seen = seen.contiguous(memory_format=torch.channels_last)
        part = x.new_empty(*shape[:3], count)
        parts.append(_native(gradient, seen, part, stride=stride, padding=(padding[0], 0), to_weight=True))
    return torch.cat(parts, 3)


def _weight_gradient_of_pairs(gradient: Tensor, x: Tensor, shape: Size, padding: Size) -> Tensor:
    """Return the weight gradient for stride 2.

    Two columns of an image are, without a copy, one of twice the channels, over which a kernel of up to six
    columns is one of three without a horizontal stride.
    """
    images, channels, height, width = x.shape
    pairs = x.permute(0, 2, 3, 1).reshape(images, height, width // 2, 2 * channels).permute(0, 3, 1, 2)
    # Of each tap the pair of columns, and which of the two.
    places = [divmod(tap - padding[1], 2) for tap in range(shape[3])]
    reach = max(abs(pair) for pair, _ in places)
    twice = torch.cat([gradient, gradient], 1)
    kernel = x.new_empty(2 * channels, 1, shape[2], 2 * reach + 1)
    both = _native(twice, pairs, kernel, stride=(2, 1), padding=(padding[0], reach), to_weight=True)
    parts = both.view(2, *shape[:3], 2 * reach + 1)
    return torch.stack([parts[side, ..., pair + reach] for pair, side in places], 3)


def _few_pixels(of_x: Size, of_weight: Size, stride: int, padding: Size) -> bool:
    """Return whether the weight gradient of images is fastest position by position.

    Measured in pairs of input and output, by kernel and channels.
    """
    if len(of_x) != 4:
        return False
    outputs = [
        (n + 2 * p - k) // stride + 1 for n, p, k in zip(of_x[2:], padding, of_weight[2:], strict=True)
    ]
    pairs = of_x[2] * of_x[3] * outputs[0] * outputs[1]
    if of_weight[3] <= FAST_COLUMNS:
        return pairs <= 16
    return pairs <= (256 if of_x[1] >= WIDE_CHANNELS else 100)


def _weight_gradient_by_position(
    gradient: Tensor, x: Tensor, shape: Size, stride: int, padding: Size
) -> Tensor:
    """Return the sum of what each output position adds to the taps through which it sees the input."""
    rows, columns = shape[2:]
    total = x.new_zeros(rows, columns, shape[0])
    images, changes = x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
    for row in range(changes.shape[1]):
        top = row * stride - padding[0]
        taps = slice(max(0, -top), min(rows, images.shape[1] - top))
        for column in range(changes.shape[2]):
            left = column * stride - padding[1]
            across = slice(max(0, -left), min(columns, images.shape[2] - left))
            seen = images[:, top + taps.start : top + taps.stop, left + across.start : left + across.stop]
            total[taps, across] += (seen * changes[:, row : row + 1, column : column + 1]).sum(0)
    return total.permute(2, 0, 1)[:, None].contiguous()


def _input_gradient_2d(gradient: Tensor, shape: Size, weight: Tensor, stride: int, padding: Size) -> Tensor:
    like = torch.empty(shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last)
    return _native(gradient, like, weight.contiguous(), stride=stride, padding=padding, to_weight=False)


def _native(
    gradient: Tensor, x: Tensor, weight: Tensor, *, stride: int | Size, padding: Size, to_weight: bool
) -> Tensor:
    """Return PyTorch's own 2-D gradient, to the weight or to the input."""
    strides = (stride, stride) if isinstance(stride, int) else stride
    groups, wanted = weight.shape[0], [not to_weight, to_weight, False]
    result: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, strides, padding, [1, 1], False, [0, 0], groups, wanted
    )
    return result[int(to_weight)]
