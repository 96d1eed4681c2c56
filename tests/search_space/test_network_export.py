"""Counting, torch.export and ONNX: networks are recorded as plain operations and compute the same there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from fvcore.nn import FlopCountAnalysis

from search_space.architecture import BASE, STREAM, Architecture, Input, Kernel, Layer, Options, Stage
from search_space.errors import NetworkError
from search_space.network import MoViNet, State, StepModule, build, fold


def network(options: Options) -> MoViNet:
    layers = tuple(Layer(Kernel(*kernel), 16) for kernel in ((1, 5), (3, 3), (5, 1)))
    stages = (Stage(8, 2, (*layers, Layer(Kernel(3, 3), 16, squeeze=False))), Stage(16, 2, layers[::-1]))
    model = build(Architecture(8, stages, 16, 24, Input(4, 26, 8), options), 5, seed=0)
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


@pytest.mark.parametrize("options", DEPLOYED)
def test_step_module_is_the_step(options: Options) -> None:
    model, clip = network(options), video()
    module = StepModule(model)
    state = model.initial_state()
    states = module.initial_states()
    assert [name for name in state if not name.endswith("frame_count")] == module.state_names
    with torch.inference_mode():
        for index in range(clip.shape[2]):
            expected, state = model.step(clip[:, :, index : index + 1], state)
            logits, *states = module(clip[:, :, index], *module.counters(index + 1), *states)
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
            for name, tensor in zip(module.state_names, states, strict=True):
                assert tensor.is_contiguous() and tensor.ndim == 4
                assert tensor.numel() == state[name].numel(), name
    assert len(module.input_names) == 1 + len(module.counters(1)) + len(states)
    assert len(module.output_names) == 1 + len(states)


def test_step_module_runs_in_onnxruntime(tmp_path: Path) -> None:
    model, clip = network(replace(STREAM, position_encoding=True)), video()
    module = StepModule(model)
    example = (clip[:, :, 0], *module.counters(1), *module.initial_states())
    program = torch.onnx.export(
        module,
        example,
        input_names=module.input_names,
        output_names=module.output_names,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.save(tmp_path / "step.onnx", external_data=False)
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx", providers=["CPUExecutionProvider"])
    states = {
        name: np.zeros(t.shape, np.float32)
        for name, t in zip(module.state_names, module.initial_states(), strict=True)
    }
    for index in range(clip.shape[2]):
        counters = dict(zip(module.input_names[1:], module.counters(index + 1), strict=False))
        feed = (
            {"frame": clip[:, :, index].numpy()} | {name: t.numpy() for name, t in counters.items()} | states
        )
        logits, *new = session.run(module.output_names, feed)
        states = dict(zip(module.state_names, new, strict=True))
    np.testing.assert_allclose(logits, model(clip).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_base_networks_are_not_deployed_as_steps() -> None:
    with pytest.raises(NetworkError, match="expected a causal network"):
        StepModule(network(BASE))
