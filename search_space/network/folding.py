"""The deploy form of a network (batch norm folded), and the change between equal convolution types."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from search_space.errors import NetworkError
from search_space.network.bottleneck import Projection
from search_space.network.ensemble import Ensemble, require_networks
from search_space.network.layers import ConvNorm, TemporalConvNorm
from search_space.network.model import MoViNet


@torch.no_grad()
def fold(model: MoViNet) -> MoViNet:
    """Return the network with batch norm and ReZero scales folded into the convolutions, for evaluation only.

    Args:
        model: any network; it is not changed. Its running statistics are folded.

    Returns:
        A new network of the same function, in evaluation mode, whose parameters need no gradient.

    Raises:
        NetworkError: the network is no ``MoViNet``, such as one of the plain form.
    """
    require_networks(model)
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    for module in folded.modules():
        if isinstance(module, ConvNorm | TemporalConvNorm) and module.norm is not None:
            scale, shift = _affine(module.norm)
            _absorb(module, scale, shift)
            module.norm = None
    for module in folded.modules():
        if isinstance(module, Projection) and module.scale is not None:
            _absorb(module, module.scale.detach().expand(module.weight.shape[0]), None)
            module.scale = None
    for module in folded.modules():
        if isinstance(module, TemporalConvNorm) and module.kernel.space == 1:
            module.weight = nn.Parameter(_taps_together(module.weight.detach()), requires_grad=False)
    folded.folded = True
    return folded


def deploy(model: MoViNet | Ensemble) -> MoViNet | Ensemble:
    """Return the deploy form of a network or of an ensemble: batch norm folded, for evaluation only."""
    if isinstance(model, Ensemble):
        return Ensemble([fold(member) for member in model.networks])
    return fold(model)


def _taps_together(weight: Tensor) -> Tensor:
    """Return a temporal weight (channels, 1, ...) with taps that are contiguous over the channels."""
    return weight.flatten(1).t().contiguous().t().view(weight.shape)


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    # In float64, so that folding costs no more than one rounding.
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _absorb(module: ConvNorm | TemporalConvNorm, scale: Tensor, shift: Tensor | None) -> None:
    weight = module.weight
    wide = weight.double() * scale.double().view(-1, *[1] * (weight.ndim - 1))
    bias = (
        module.bias.double() * scale.double() if module.bias is not None else torch.zeros_like(scale).double()
    )
    if shift is not None:
        bias = bias + shift
    format_ = torch.channels_last if weight.ndim == 4 else torch.channels_last_3d
    module.weight = nn.Parameter(wide.to(weight.dtype).contiguous(memory_format=format_), requires_grad=False)
    module.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)


def to_2plus1d(model: MoViNet) -> MoViNet:
    """Return a ``3d_2plus1d`` network as the ``2plus1d`` network that computes the same, with 2-D weights.

    Raises:
        NetworkError: the network is of another convolution type.
    """
    options = model.architecture.options
    if options.convolution != "3d_2plus1d":
        raise NetworkError(
            f"conversion to 2plus1d: expected a 3d_2plus1d network, got {options.convolution}",
            hint="a 3d network has kernels that do not factor",
        )
    converted = copy.deepcopy(model)
    converted.architecture = replace(model.architecture, options=replace(options, convolution="2plus1d"))
    for module in converted.modules():
        if isinstance(module, TemporalConvNorm):
            flat = module.weight.detach().reshape(-1, 1, module.kernel.time, 1).clone()
            module.weight = nn.Parameter(flat, requires_grad=module.weight.requires_grad)
    return converted
