"""What the networks refuse, and that the refusal names what was expected and what was given."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
from torch import Tensor

from search_space.architecture.published import published
from search_space.errors import NetworkError
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build
from search_space.network.stream_state import State
from search_space.network.weights import load_weights, save_weights


@pytest.fixture(scope="module")
def model() -> MoViNet:
    return build(published("T0-stream"), 5, seed=0).eval()


BAD_CLIPS = [
    (torch.rand(3, 4, 32, 32), r"expected 5 axes.*got \(3, 4, 32, 32\)"),
    (torch.rand(1, 4, 2, 32, 32), "expected 3 channels on axis 1, got 4"),
    (torch.rand(1, 2, 32, 32, 3), "expected 3 channels on axis 1, got 2"),
    (torch.zeros(1, 3, 2, 32, 32, dtype=torch.uint8), "expected torch.float32, got torch.uint8.*255"),
    (torch.rand(1, 3, 2, 32, 32, dtype=torch.float64), "expected torch.float32, got torch.float64"),
    (torch.rand(1, 3, 0, 32, 32), r"at least one of everything, got shape \(1, 3, 0, 32, 32\)"),
    (torch.rand(1, 3, 2, 0, 32), "at least one of everything"),
    (torch.rand(0, 3, 2, 32, 32), "at least one of everything"),
    (torch.empty(1, 3, 2, 32, 32, device="meta"), "expected device cpu, got meta"),
]


@pytest.mark.parametrize(("clip", "message"), BAD_CLIPS)
def test_bad_clips(model: MoViNet, clip: Tensor, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        model(clip)
    with pytest.raises(NetworkError, match=message):
        model.step(clip, model.initial_state(1, 32))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 40)])
def test_any_size_that_is_a_picture_runs(model: MoViNet, size: tuple[int, int]) -> None:
    clip = torch.rand(1, 3, 3, *size)
    with torch.inference_mode():
        logits, _ = model.step(clip, model.initial_state(1, size))
        torch.testing.assert_close(logits, model(clip), rtol=1e-4, atol=1e-5)


def states(model: MoViNet) -> list[tuple[State, str]]:
    good = model.initial_state(2, 32)
    first = "state_block1_layer0_stream_buffer"
    other = build(published("A0-stream"), 5).initial_state(2, 32)
    return [
        ({}, "expected 38 tensors, got 0.*missing state_block0_layer0_pool_buffer"),
        (other, "expected 38 tensors, got 43"),
        (model.initial_state(1, 32), r"expected shape \(2, 16\), got \(1, 16\)"),
        (model.initial_state(2, 64), rf"{first}: expected shape \(2, 2, 16, 72\), got \(2, 2, 64, 72\)"),
        (model.initial_state(2, 32, dtype=torch.float64), "expected torch.float32, got torch.float64"),
        (model.initial_state(2, 32, device="meta"), "expected device cpu, got meta"),
        (good | {"state_head_pool_frame_count": torch.zeros(2)}, "expected torch.int32, got torch.float32"),
        (good | {"more": torch.zeros(2)}, "got 39.*unknown more"),
    ]


@pytest.mark.parametrize("index", range(8))
def test_bad_states(model: MoViNet, index: int) -> None:
    state, message = states(model)[index]
    with pytest.raises(NetworkError, match=message):
        model.step(torch.rand(2, 3, 1, 32, 32), state)


def test_bad_rates_and_heads() -> None:
    with pytest.raises(NetworkError, match=r"dropout: expected a rate .* got 1.5"):
        build(published("T0"), dropout=1.5)
    with pytest.raises(NetworkError, match="stochastic_depth"):
        build(published("T0"), stochastic_depth=-0.1)
    with pytest.raises(
        NetworkError, match=r"single-label head: expected 1 positive class counts, got \(0,\)"
    ):
        build(published("T0"), 0)
    with pytest.raises(NetworkError, match="verb-noun head: expected 2"):
        build(published("T0"), (1, 2, 3))


def test_heads() -> None:
    logits = torch.randn(3, 7)
    single, several, pair = Head.single_label(7), Head.multi_label(7), Head.verb_noun(3, 4)
    assert build(published("T0-base"), (3, 4)).classes == 7
    torch.testing.assert_close(single.probabilities(logits)[0], logits.softmax(-1))
    torch.testing.assert_close(several.probabilities(logits)[0], logits.sigmoid())
    verb, noun = pair.split(logits)
    actions = pair.action_probabilities(logits)
    assert actions.shape == (3, 3, 4)
    torch.testing.assert_close(actions[1, 2, 3], verb[1].softmax(-1)[2] * noun[1].softmax(-1)[3])
    torch.testing.assert_close(actions.sum((1, 2)), torch.ones(3))
    target = torch.tensor([[0, 1], [2, 3], [1, 0]])
    expected = torch.nn.functional.cross_entropy(verb, target[:, 0])
    expected = expected + torch.nn.functional.cross_entropy(noun, target[:, 1])
    torch.testing.assert_close(pair.loss(logits, target), expected)
    labels = torch.tensor([[0, 1, 1, 0, 0, 0, 1]] * 3)
    manual = -torch.where(labels == 1, logits.sigmoid(), 1 - logits.sigmoid()).log().mean()
    torch.testing.assert_close(several.loss(logits, labels), manual)
    with pytest.raises(NetworkError, match="expected 7, got 6"):
        single.split(logits[:, :6])
    with pytest.raises(NetworkError, match="no actions"):
        single.action_probabilities(logits)


def test_weights_round_trip(model: MoViNet, tmp_path: Path) -> None:
    save_weights(model, tmp_path / "w.safetensors")
    other = build(published("T0-stream"), 5, seed=9)
    load_weights(other, tmp_path / "w.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_weights_that_do_not_fit(model: MoViNet, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(model, path)
    wrong = build(published("T0-stream"), 6, seed=9)
    before = {name: tensor.clone() for name, tensor in wrong.state_dict().items()}
    with pytest.raises(
        NetworkError, match=r"head.classifier.weight: expected shape \(6, 1024\), got \(5, 1024\)"
    ):
        load_weights(wrong, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in wrong.state_dict().items())
    with pytest.raises(NetworkError, match=r"block0_layer0.squeeze.reduce.weight: expected shape"):
        load_weights(build(published("T0-base"), 5), path)
    with pytest.raises(NetworkError, match="cannot read weights"):
        load_weights(model, tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(NetworkError, match="cannot read weights"):
        load_weights(model, tmp_path / "bad.safetensors")


@pytest.mark.slow
def test_memory_of_the_step_is_constant(model: MoViNet) -> None:
    def peak_after(frames: int) -> int:
        state = model.initial_state(1, 64)
        with torch.inference_mode():
            for _ in range(frames):
                _, state = model.step(torch.rand(1, 3, 1, 64, 64), state)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    peak_after(10)
    short = peak_after(10)
    assert peak_after(1000) - short < 1024  # kilobytes: the allocator's own bookkeeping
