"""Counting, torch.export and ONNX: networks are recorded as plain operations and compute the same there."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Options, Stage
from search_space.errors import NetworkError
from search_space.network.clip_module import ClipModule
from search_space.network.ensemble import Ensemble
from search_space.network.folding import fold
from search_space.network.model import MoViNet, build
from search_space.network.step_module import StepModule
from search_space.network.stream_state import State


def network(options: Options) -> MoViNet:
    layers = tuple(Layer(Kernel(*kernel), 16) for kernel in ((1, 5), (3, 3), (5, 1)))
    stages = (Stage(8, 2, (*layers, Layer(Kernel(3, 3), 16, squeeze=False))), Stage(16, 2, layers[::-1]))
    model = build(Architecture(8, stages, 16, 24, ClipShape(4, 26, 8), options), 5, seed=0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("scale"):
                tensor.fill_(0.7)
            elif name.endswith("running_mean"):
                tensor.normal_(0, 0.2, generator=torch.Generator().manual_seed(0))
    return model.eval()


def video(frames: int = 6) -> torch.Tensor:
    return torch.rand(1, 3, frames, 26, 26, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", [BASE, STREAM])
def test_fvcore_counts_every_convolution(options: Options, training: bool) -> None:
    model, clip = network(options).train(training), video(4)
    convolutions = [0]

    def count(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        convolutions[0] += output.numel() * weight[0].numel()

    for module in model.modules():
        if hasattr(module, "norm"):
            module.register_forward_hook(count)
    model(clip)
    expected = int(convolutions[0])
    analysis = FlopCountAnalysis(model, clip)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    assert analysis.by_operator()["conv"] == expected
    assert not [name for name in analysis.unsupported_ops() if "PythonOp" in name]


@pytest.mark.parametrize("options", [BASE, replace(STREAM, position_encoding=True)])
def test_clip_exports(options: Options) -> None:
    model, clip = network(options), video()
    program = torch.export.export(fold(model), (clip,), strict=False)
    torch.testing.assert_close(program.module()(clip), model(clip), rtol=1e-4, atol=1e-5)
    kinds = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [kind for kind in kinds if "aten" not in kind and "getitem" not in kind]


def test_step_exports_and_runs_on() -> None:
    model, clip = fold(network(replace(STREAM, position_encoding=True))), video()

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, frames: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
            return self.model.step(frames, state)

    state = model.initial_state()
    program = torch.export.export(Step(), (clip[:, :, :1], state), strict=False).module()
    for index in range(clip.shape[2]):
        logits, state = program(clip[:, :, index : index + 1], state)
        assert all(tensor.is_contiguous() for tensor in state.values())
    torch.testing.assert_close(logits, model(clip), rtol=1e-4, atol=1e-5)


DEPLOYED = [
    STREAM,
    replace(STREAM, position_encoding=True),
    replace(STREAM, squeeze="2d", gate="hard_sigmoid_keras"),
    replace(
        STREAM, squeeze="3d", convolution="3d", activation="swish", gate="sigmoid", position_encoding=True
    ),
    replace(STREAM, squeeze="none", convolution="3d_2plus1d"),
]


@pytest.mark.parametrize("joined", [False, True], ids=["taps", "joined"])
@pytest.mark.parametrize("options", DEPLOYED)
def test_step_module_is_the_step(options: Options, joined: bool) -> None:
    model, clip = network(options), video()
    module = StepModule(model, joined=joined)
    state = model.initial_state()
    states = module.initial_states()
    with torch.inference_mode():
        for index in range(clip.shape[2]):
            expected, state = model.step(clip[:, :, index : index + 1], state)
            logits, *new = module(clip[:, :, index], *module.counters(index + 1), *states)
            assert all(tensor.is_contiguous() and tensor.ndim == 4 for tensor in new)
            states = module.advance(states, new)
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
            for name, tensor in zip(module.state_names, states, strict=True):
                torch.testing.assert_close(tensor, recorded(state, name, tensor), rtol=1e-4, atol=1e-5)
    assert module.following.keys() == set(module.state_names)
    assert len(module.input_names) == 1 + len(module.counters(1)) + len(states)
    assert module.output_names == ["logits", *(n for n in module.following.values() if n[:4] == "new_")]


def test_joined_frames_take_one_convolution_a_layer() -> None:
    counts = []
    for joined in (False, True):
        module = StepModule(fold(network(STREAM)), joined=joined)
        given = (video()[:, :, 0], *module.counters(1), *module.initial_states())
        graph = torch.export.export(module, given, strict=False).graph
        counts.append(sum("conv2d" in str(node.target) for node in graph.nodes))
    past = sum("stream_buffer" in name for name in module.state_names)
    assert past > 0 and counts == [counts[1] + past, counts[1]]


def recorded(state: State, name: str, like: torch.Tensor) -> torch.Tensor:
    """The part of the network's own state that a state of the deploy form is, in its layout."""
    if name in state:
        return state[name].view(like.shape)
    buffer, _, index = name.rpartition("_")
    batch, channels, height, width = like.shape
    return state[buffer][:, int(index)].view(batch, height, width, channels).permute(0, 3, 1, 2)


def test_step_module_of_an_ensemble() -> None:
    members = [network(replace(STREAM, position_encoding=True)), network(replace(STREAM, squeeze="3d"))]
    ensemble, clip = Ensemble(members), video()
    module = StepModule(ensemble)
    states = module.initial_states()
    assert module.state_names[0].startswith("0.") and module.state_names[-1].startswith("1.")
    with torch.inference_mode():
        for index in range(clip.shape[2]):
            logits, *new = module(clip[:, :, index], *module.counters(index + 1), *states)
            states = module.advance(states, new)
        torch.testing.assert_close(logits, ensemble(clip), rtol=1e-4, atol=1e-5)


def test_base_networks_are_not_deployed_as_steps() -> None:
    with pytest.raises(NetworkError, match="expected a causal network"):
        StepModule(network(BASE))


@pytest.mark.parametrize(
    "options",
    [
        *DEPLOYED,
        BASE,
        replace(BASE, convolution="2plus1d", squeeze="2plus3d"),
        replace(BASE, squeeze="2d", convolution="3d_2plus1d"),
    ],
)
def test_clip_module_is_the_clip_form(options: Options) -> None:
    model, clip = network(options), video()
    module = ClipModule(model, frames=6)
    with torch.inference_mode():
        logits = module(clip[0].transpose(0, 1).contiguous())
        torch.testing.assert_close(logits, model(clip), rtol=1e-4, atol=1e-5)
    program = torch.export.export(module, (clip[0].transpose(0, 1).contiguous(),), strict=False)
    shapes = [
        node.meta["val"].ndim
        for node in program.graph.nodes
        if isinstance(node.meta.get("val"), torch.Tensor)
    ]
    assert max(shapes) == 4


def test_clip_module_of_an_ensemble_is_its_mean() -> None:
    both, clip = Ensemble([network(STREAM), network(replace(STREAM, squeeze="2d"))]), video(4)
    with torch.inference_mode():
        logits = ClipModule(both)(clip[0].transpose(0, 1).contiguous())
        torch.testing.assert_close(logits, both(clip), rtol=1e-4, atol=1e-5)
