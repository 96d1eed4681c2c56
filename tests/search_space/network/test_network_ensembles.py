"""Ensembles over the same frames and over interleaved ones, as clips and as streams."""

from __future__ import annotations

import pytest
import torch

from search_space.architecture.published import published
from search_space.errors import NetworkError
from search_space.network.ensemble import Ensemble, TemporalEnsemble
from search_space.network.model import MoViNet, build
from search_space.network.stream_state import State, reset_streams


def members(names: tuple[str, str] = ("T0-stream", "A0-stream")) -> list[MoViNet]:
    networks = []
    for seed, name in enumerate(names):
        model = build(published(name), 5, seed=seed)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if key.endswith("scale"):
                    parameter.fill_(0.7)
        networks.append(model.double().eval())
    return networks


def video(batch: int, frames: int) -> torch.Tensor:
    return torch.rand(
        batch, 3, frames, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )


def stream(model: Ensemble | TemporalEnsemble, clip: torch.Tensor, chunk: int) -> tuple[torch.Tensor, State]:
    state, logits = model.initial_state(clip.shape[0], 16), clip
    with torch.inference_mode():
        for part in torch.split(clip, chunk, 2):
            logits, state = model.step(part, state)
    return logits, state


def test_ensemble_is_the_mean_of_its_members() -> None:
    first, second = members()
    model, clip = Ensemble([first, second]), video(2, 5)
    with torch.inference_mode():
        expected = (first(clip) + second(clip)) / 2
        torch.testing.assert_close(model(clip), expected)
    for chunk in (1, 2, 5):
        logits, state = stream(model, clip, chunk)
        torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
    own = {
        f"{index}.{name}" for index, member in enumerate((first, second)) for name in member.state_shapes()
    }
    assert set(state) == own == set(model.initial_state())
    assert model.classes == 5 and model.causal


def test_a6_of_base_networks() -> None:
    networks = members(("T0-base", "A0-base"))
    model = Ensemble(networks)
    assert model(video(1, 3)).shape == (1, 5) and not model.causal
    with pytest.raises(NetworkError, match="base form"):
        model.initial_state()


def test_temporal_ensemble_takes_turns() -> None:
    first, second = members(("T0-stream", "T0-stream"))
    model, clip = TemporalEnsemble([first, second]), video(2, 7)
    with torch.inference_mode():
        expected = (first(clip[:, :, 0::2]) + second(clip[:, :, 1::2])) / 2
        torch.testing.assert_close(model(clip), expected)
        alone = first(clip[:, :, :1])
        torch.testing.assert_close(model(clip[:, :, :1]), alone)
    for chunk in (1, 2, 3, 7):
        torch.testing.assert_close(stream(model, clip, chunk)[0], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(stream(model, clip[:, :, :1], 1)[0], alone, rtol=1e-9, atol=1e-9)


def test_temporal_ensemble_runs_one_member_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TemporalEnsemble(members(("T0-stream", "T0-stream")))
    calls: list[int] = []
    inner = MoViNet.step

    def step(self: MoViNet, frames: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        calls.append(model.networks.index(self))
        return inner(self, frames, state)

    monkeypatch.setattr(MoViNet, "step", step)
    stream(model, video(1, 4), 1)
    assert calls == [0, 1, 0, 1]


def test_streams_of_a_temporal_ensemble_may_be_out_of_step() -> None:
    model, clip = TemporalEnsemble(members(("T0-stream", "T0-stream"))), video(2, 6)
    _, state = stream(model, clip[:, :, :3], 1)
    state = reset_streams(state, [1])
    with torch.inference_mode():
        for part in torch.split(clip[:, :, 3:], 1, 2):
            logits, state = model.step(part, state)
    torch.testing.assert_close(logits[:1], stream(model, clip[:1], 1)[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(logits[1:], stream(model, clip[1:, :, 3:], 1)[0], rtol=1e-9, atol=1e-9)
    assert state["frame_count"].tolist() == [6, 3]


def test_ensembles_refuse() -> None:
    with pytest.raises(NetworkError, match="at least one member"):
        Ensemble([])
    with pytest.raises(NetworkError, match=r"one number of classes, got \[5, 6\]"):
        Ensemble([build(published("T0"), 5), build(published("T0"), 6)])
    model = TemporalEnsemble(members())
    with pytest.raises(NetworkError, match="missing"):
        model.step(video(1, 1), {})
    with pytest.raises(NetworkError, match="expected 38 tensors"):
        Ensemble(members()).step(video(1, 1), {})
