"""The depthwise gradients of our own, and training as a whole."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Options, Stage
from search_space.errors import NetworkError
from search_space.network import depthwise as depthwise_module
from search_space.network.bottleneck import drop_clips
from search_space.network.convolution import squeeze_space
from search_space.network.depthwise import depthwise
from search_space.network.folding import fold
from search_space.network.model import MoViNet, build

SHAPES = [
    # kernel, stride, padding, size
    ((3, 3), 1, (1, 1), (5, 6)),
    ((3, 3), 2, (1, 1), (5, 7)),
    ((3, 3), 2, (0, 0), (7, 9)),
    ((5, 5), 1, (2, 2), (6, 5)),
    ((5, 5), 2, (2, 2), (7, 7)),
    ((7, 7), 2, (0, 0), (9, 9)),
    ((5, 1), 1, (0, 0), (7, 4)),
    ((3, 1), 1, (1, 0), (4, 3)),
    ((3, 3, 3), 1, (1, 1, 1), (4, 5, 4)),
    ((3, 3, 3), 2, (1, 1, 1), (3, 5, 5)),
    ((5, 3, 3), 2, (2, 0, 0), (4, 5, 7)),
    ((5, 3, 3), 1, (0, 1, 1), (6, 3, 3)),
    ((5, 1, 1), 2, (2, 0, 0), (3, 5, 4)),
    ((7, 1, 1), 1, (3, 0, 0), (2, 3, 3)),
    ((3, 5, 5), 1, (1, 2, 2), (1, 4, 4)),
    ((5, 3, 3), 2, (2, 0, 0), (4, 6, 8)),
    ((3, 3, 3), 2, (1, 1, 1), (3, 6, 4)),
    ((3, 3, 3), 1, (1, 1, 1), (3, 2, 2)),
    ((3, 3, 3), 1, (1, 1, 1), (2, 1, 1)),
    ((5, 5), 1, (2, 2), (1, 1)),
    ((5, 5), 1, (2, 2), (2, 3)),
    ((5, 5), 1, (2, 2), (4, 4)),
    ((5, 5), 2, (0, 0), (6, 5)),
    ((5, 5), 2, (2, 2), (3, 2)),
    ((7, 7), 1, (3, 3), (3, 3)),
    ((3, 3), 1, (1, 1), (2, 2)),
    ((3, 3), 2, (0, 0), (3, 4)),
    ((6, 6), 2, (2, 2), (6, 8)),
    ((5, 5), 2, (2, 2), (8, 6)),
    ((5, 5), 2, (1, 0), (7, 8)),
    ((3, 6, 6), 2, (1, 2, 2), (3, 6, 8)),
]


def innermost(tensor: Tensor) -> Tensor:
    order = torch.channels_last if tensor.ndim == 4 else torch.channels_last_3d
    return tensor.contiguous(memory_format=order)


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), SHAPES)
def test_gradcheck(
    kernel: tuple[int, ...], stride: int, padding: tuple[int, ...], size: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = innermost(torch.randn(2, 3, *size, dtype=torch.float64, generator=generator)).requires_grad_()
    weight = torch.randn(3, 1, *kernel, dtype=torch.float64, generator=generator).requires_grad_()
    out = depthwise(x, weight, None, stride, padding)
    assert out.grad_fn is not None
    few = len(kernel) == 2 and size[0] * size[1] * out.shape[2] * out.shape[3] <= 16
    assert ("Depthwise" in out.grad_fn.name()) == (len(kernel) == 3 or kernel[-1] > 3 or few)
    assert torch.autograd.gradcheck(lambda a, b: depthwise(a, b, None, stride, padding), (x, weight))


@pytest.mark.parametrize(("kernel", "stride", "padding", "size"), SHAPES)
def test_same_as_plain_in_float32(
    kernel: tuple[int, ...], stride: int, padding: tuple[int, ...], size: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = innermost(torch.randn(2, 24, *size, generator=generator)).requires_grad_()
    weight = torch.randn(24, 1, *kernel, generator=generator).requires_grad_()
    ours = depthwise(x, weight, None, stride, padding)
    gradient = torch.randn(ours.shape, generator=generator)
    with mock.patch.object(depthwise_module, "records_gradient", return_value=False):
        plain = depthwise(x, weight, None, stride, padding)
    torch.testing.assert_close(ours, plain)
    got = torch.autograd.grad(ours, (x, weight), gradient)
    expected = torch.autograd.grad(plain, (x, weight), gradient)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_gradient_of_what_is_asked_alone() -> None:
    x, weight = innermost(torch.randn(1, 4, 5, 5)), torch.randn(4, 1, 5, 5)
    (only_weight,) = torch.autograd.grad(
        depthwise(x, weight.requires_grad_(), None, 1, (2, 2)).sum(), [weight]
    )
    assert only_weight.shape == weight.shape
    (only_x,) = torch.autograd.grad(
        depthwise(x.requires_grad_(), weight.detach(), None, 1, (2, 2)).sum(), [x]
    )
    assert only_x.shape == x.shape


def test_squeeze_gradcheck() -> None:
    x = innermost(torch.randn(2, 3, 4, 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(squeeze_space, (x,))


def small(options: Options) -> Architecture:
    layers = tuple(Layer(Kernel(*kernel), 16) for kernel in ((1, 5), (3, 3), (5, 3), (5, 1)))
    return Architecture(8, (Stage(8, 2, layers), Stage(16, 2, layers)), 16, 24, ClipShape(4, 24, 8), options)


def trained(options: Options, seed: int = 0) -> tuple[MoViNet, list[float]]:
    generator = torch.Generator().manual_seed(seed)
    model = build(small(options), 4, dropout=0.1, stochastic_depth=0.2, seed=seed).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    clip = torch.rand(4, 3, 4, 24, 24, generator=generator)
    losses = []
    torch.manual_seed(seed)
    for _ in range(15):
        loss = functional.cross_entropy(model(clip), torch.arange(4))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(float(loss.detach()))
    return model, losses


@pytest.mark.parametrize("options", [BASE, STREAM, replace(STREAM, convolution="3d", position_encoding=True)])
def test_learns_and_repeats_bit_for_bit(options: Options) -> None:
    model, losses = trained(options)
    assert losses[-1] < 0.9 * losses[0]
    again, _ = trained(options)
    for (name, tensor), other in zip(model.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(tensor, other), name


def leave_in_memory(value: float) -> None:
    """Fill memory with a value and free it: what reads memory before writing to it meets the value."""
    sizes = [2**power for power in range(3, 20) for _ in range(6)]
    filled = [torch.full((size + 3 * index % 8,), value) for index, size in enumerate(sizes)]
    random.Random(0).shuffle(filled)


@pytest.mark.parametrize("options", [BASE, STREAM])
def test_bfloat16_autocast_trains(options: Options) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        model = build(small(options), 4, seed=0).train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(torch.rand(2, 3, 4, 32, 32, generator=generator))
            loss = functional.cross_entropy(logits, torch.tensor([0, 1]))
        leave_in_memory(float("nan"))
        torch.autograd.backward(loss)
        wrong = [
            n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())
        ]
        assert not wrong


@pytest.mark.parametrize(
    "shape", [(5, 4, 4), (5, 2, 8), (3, 1, 1), (5, 1, 16), (3, 2, 2), (7, 6, 8), (3, 8, 2)]
)
def test_bfloat16_gradients_of_clips_smaller_than_the_kernel(shape: tuple[int, int, int]) -> None:
    taps, frames, size = shape
    generator = torch.Generator().manual_seed(0)
    clip = innermost(torch.randn(2, 16, frames, size, size, generator=generator)).bfloat16().requires_grad_()
    weight = torch.randn(16, 1, taps, 3, 3, generator=generator).bfloat16().requires_grad_()
    gradient = innermost(torch.randn(clip.shape, generator=generator)).bfloat16()
    padding = (taps // 2, 1, 1)
    with torch.autocast("cpu", torch.bfloat16):
        out = depthwise(clip, weight, None, 1, padding)
    leave_in_memory(1e4)
    got = torch.autograd.grad(out, (clip, weight), gradient)
    exact = functional.conv3d(clip.double(), weight.double(), None, 1, padding, 1, 16)
    expected = torch.autograd.grad(exact, (clip, weight), gradient.double())
    torch.testing.assert_close(got, expected, rtol=2e-2, atol=0.2)


@pytest.mark.parametrize("options", [BASE, STREAM])
def test_every_parameter_gets_a_gradient(options: Options) -> None:
    model = build(small(options), 4, seed=0).train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("scale"):
                parameter.fill_(0.5)
    torch.autograd.backward(model(torch.rand(2, 3, 4, 32, 32)).square().sum())
    silent = [n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert not silent


def test_rezero_starts_at_zero() -> None:
    model = build(small(STREAM), 4, seed=0)
    scales = [p for n, p in model.named_parameters() if n.endswith("scale")]
    assert len(scales) == 8
    assert not any(bool(scale) for scale in scales)


def test_same_seed_same_weights_and_nothing_else_drawn() -> None:
    torch.manual_seed(3)
    first = build(small(BASE), 4, seed=1)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), drawn)
    second, other = build(small(BASE), 4, seed=1), build(small(BASE), 4, seed=2)
    assert torch.equal(first.stem.weight, second.stem.weight)
    assert not torch.equal(first.stem.weight, other.stem.weight)


def test_initial_spread() -> None:
    model = build(replace(small(BASE), hidden=512, head=256), 600, seed=0)
    weight = model.head.hidden.weight.detach()
    assert float(weight.std()) == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert float(weight.abs().max()) <= 2 * (2 / 256) ** 0.5 / 0.879
    assert float(model.head.classifier.weight.detach().std()) == pytest.approx(0.01, rel=0.02)


def test_stochastic_depth_drops_whole_clips() -> None:
    torch.manual_seed(0)
    x = torch.ones(200 * 3, 2, 2, 2)
    dropped = drop_clips(x, 3, 0.25).view(200, -1)
    assert {round(float(v), 5) for v in dropped.unique()} == {0.0, round(1 / 0.75, 5)}  # type: ignore[no-untyped-call]
    assert bool((dropped == dropped[:, :1]).all())
    assert 0.15 < float((dropped[:, 0] == 0).float().mean()) < 0.35


def test_stochastic_depth_grows_to_its_rate() -> None:
    drops = [float(block.drop) for block in build(small(BASE), 4, stochastic_depth=0.2).blocks.values()]  # type: ignore[arg-type]
    assert drops == pytest.approx([0.2 * (i + 1) / 8 for i in range(8)])


def test_folded_networks_do_not_train() -> None:
    folded = fold(build(small(BASE), 4))
    assert not folded.training
    assert not any(parameter.requires_grad for parameter in folded.parameters())
    with pytest.raises(NetworkError, match="cannot be trained"):
        folded.train()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", [BASE, STREAM])
def test_cuda(options: Options) -> None:
    model = build(small(options), 4, seed=0).eval()
    clip = torch.rand(2, 3, 5, 32, 32)
    expected = model(clip)
    model = model.cuda()
    torch.testing.assert_close(model(clip.cuda()).cpu(), expected, rtol=1e-3, atol=1e-4)
    if model.causal:
        logits, _ = model.step(clip.cuda(), model.initial_state(2))
        torch.testing.assert_close(logits.cpu(), expected, rtol=1e-3, atol=1e-4)
        folded = fold(model)
        state = folded.initial_state(2)
        with torch.inference_mode():
            for frame in torch.split(clip.cuda(), 1, 2):
                logits, state = folded.step(frame, state)
        torch.testing.assert_close(logits.cpu(), expected, rtol=1e-3, atol=1e-4)
    with torch.autocast("cuda", torch.bfloat16):
        loss = model.train()(clip.cuda()).square().sum()
    torch.autograd.backward(loss)
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
