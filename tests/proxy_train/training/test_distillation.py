"""Distillation: the divergence from a teacher, what a teacher may be, and trainings that follow one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from proxy_train.data.digit_scenes import CLASSES
from proxy_train.fidelity import Fidelity
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import PreparedData
from proxy_train.training.distillation import Teacher, distillation_loss
from proxy_train.training.pretrained import Pretrained
from proxy_train.training.training import Training
from proxy_train.training.training_run import TrainingRun
from search_space.architecture.architecture import Architecture
from search_space.errors import NetworkError, RecordError, SettingsError
from search_space.files import write_json
from search_space.network.ensemble import Ensemble
from search_space.network.heads import Head
from search_space.network.model import build
from search_space.network.weights import save_weights


def write_teacher(
    folder: Path, architecture: Architecture, labels: tuple[str, ...] = CLASSES, seed: int = 4
) -> Path:
    """Write a folder as that of a member: a network with a classifier that prefers some classes."""
    network = build(architecture, len(labels), seed=seed)
    with torch.no_grad():
        network.head.classifier.weight.mul_(60)
        network.head.classifier.bias.copy_(torch.linspace(2, -2, len(labels)))
    folder.mkdir(parents=True)
    save_weights(network, folder / "weights.safetensors")
    write_json(folder / "architecture.json", architecture.to_json())
    write_json(folder / "member.json", {"labels": list(labels)})
    return folder


@pytest.mark.parametrize(
    "head", [Head.single_label(6), Head.multi_label(6), Head.verb_noun(2, 4)], ids=lambda head: head.kind
)
def test_the_loss_is_a_divergence(head: Head) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (3 * torch.randn(5, 6, dtype=torch.float64, generator=generator) for _ in range(2))
    assert float(distillation_loss(head, ours, ours, 2.0)) == pytest.approx(0, abs=1e-12)
    assert float(distillation_loss(head, ours, theirs, 2.0)) > 0.1
    wanted = ours.clone().requires_grad_()
    torch.autograd.backward(distillation_loss(head, wanted, ours, 2.0))
    assert wanted.grad is not None and float(wanted.grad.abs().max()) < 1e-12, "least where both agree"


def test_the_loss_is_hintons() -> None:
    ours, theirs = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    p, q = (theirs / 4).softmax(-1), (ours / 4).softmax(-1)
    expected = 16 * float((p * (p / q).log()).sum())
    assert float(distillation_loss(Head.single_label(2), ours, theirs, 4.0)) == pytest.approx(expected)
    # Alone, a label's class: the temperature of 1 gives the cross-entropy but for the teacher's entropy.
    loss = distillation_loss(Head.multi_label(2), ours, theirs, 1.0)
    p = theirs.sigmoid()
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    expected = float(F.binary_cross_entropy_with_logits(ours, p) - entropy)
    assert float(loss) == pytest.approx(expected) and math.isfinite(expected)


def test_a_teacher_gives_its_logits_in_the_order_of_the_data(
    small_architecture: Architecture, tmp_path: Path
) -> None:
    turned = CLASSES[::-1]
    folder = write_teacher(tmp_path / "teacher", small_architecture, turned)
    source = Pretrained.parse(folder)
    network, teacher = source.load(), Teacher(source, CLASSES)
    clips = torch.rand(2, 3, 8, 32, 32)
    logits = teacher.logits(clips)
    assert not logits.requires_grad and not network.training
    torch.testing.assert_close(logits, network(clips).detach().flip(1))


def test_a_teacher_is_its_weights_and_nothing_beside_them(
    small_architecture: Architecture, tmp_path: Path
) -> None:
    folder = write_teacher(tmp_path / "teacher", small_architecture)
    digest = Pretrained.parse(folder).digest
    (folder / "step.onnx").write_text("exported later")
    assert Pretrained.parse(folder).digest == digest
    tensors = load_file(folder / "weights.safetensors")
    # The last bytes of the file, as of a network of which only the end was trained.
    tensors[max(tensors)] += 1
    save_file(tensors, folder / "weights.safetensors")
    assert Pretrained.parse(folder).digest != digest
    (folder / "weights.safetensors").unlink()
    with pytest.raises(NetworkError, match=r"weights\.safetensors: there are no weights"):
        Pretrained.parse(folder)


def test_ensembles_teach_too(small_architecture: Architecture, tmp_path: Path) -> None:
    networks = [build(small_architecture, 16, seed=seed) for seed in (1, 2)]
    save_weights(Ensemble(networks), tmp_path / "weights.safetensors")
    described = [network.architecture.to_json() for network in networks]
    write_json(tmp_path / "architecture.json", {"ensemble": described})
    write_json(tmp_path / "member.json", {"labels": list(CLASSES)})
    source, clips = Pretrained.parse(tmp_path), torch.rand(2, 3, 8, 32, 32)
    expected = Ensemble(networks).eval()(clips)
    torch.testing.assert_close(Teacher(source, CLASSES).logits(clips), expected)
    with pytest.raises(NetworkError, match="is an ensemble"):
        source.state()


def test_a_network_is_named_with_its_weights(small_architecture: Architecture, tmp_path: Path) -> None:
    save_weights(build(small_architecture, 16, seed=1), tmp_path / "a.safetensors")
    source = Pretrained.parse(f"{small_architecture.text}={tmp_path / 'a.safetensors'}")
    assert source.architectures == (small_architecture,) and source.labels == ()
    assert Pretrained.parse(source.text) == source
    assert Teacher(source, CLASSES).logits(torch.rand(1, 3, 8, 32, 32)).shape == (1, 16)


def test_what_cannot_teach_is_refused(tmp_path: Path, small_architecture: Architecture) -> None:
    few = write_teacher(tmp_path / "few", small_architecture, CLASSES[:5])
    with pytest.raises(SettingsError, match="has 5 classes, and the data 16"):
        Teacher(Pretrained.parse(few), CLASSES)
    other = write_teacher(tmp_path / "other", small_architecture, (*CLASSES[1:], "juggling"))
    with pytest.raises(SettingsError, match="'juggling' is none of the data's"):
        Teacher(Pretrained.parse(other), CLASSES)
    with pytest.raises(SettingsError, match=r"no trained network.*NETWORK=WEIGHTS"):
        Pretrained.parse(tmp_path)
    with pytest.raises(SettingsError, match="no trained network"):
        Pretrained.parse("A2-stream")
    with pytest.raises(SettingsError, match="A9-stream"):
        Pretrained.parse(f"A9-stream={few}")
    with pytest.raises(NetworkError, match="there are no weights"):
        Pretrained.parse(f"A2-stream={tmp_path / 'nothing'}")
    wrong = f"{replace(small_architecture, head=64).text}={few / 'weights.safetensors'}"
    with pytest.raises(NetworkError, match="expected shape"):
        Teacher(Pretrained.parse(wrong), CLASSES[:5])


@pytest.mark.parametrize("stream_frames", [None, 4])
def test_a_network_learns_its_teachers_outputs(
    stream_frames: int | None, small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    source = Pretrained.parse(write_teacher(tmp_path / "teacher", small_architecture))
    teacher = Teacher(source, tiny_data.classes)
    recipe = Recipe(batch_size=16, distillation=1.0, stream_frames=stream_frames, shift=0, photometric=0)
    training = Training(
        small_architecture, tiny_data, recipe, horizon=Fidelity(8, 8, 32), seed=0, teacher=teacher
    )
    losses = [training.train_epoch().loss for _ in range(8)]
    assert losses[-1] < 0.5 * losses[0]
    without = Training(small_architecture, tiny_data, recipe, horizon=Fidelity(8, 8, 32), seed=0)
    assert without.train_epoch().loss != losses[0], "without a teacher, its weight in the loss is nothing"


def test_another_teacher_is_another_training(
    small_architecture: Architecture, tiny_data: PreparedData, tmp_path: Path
) -> None:
    one, two = (
        Pretrained.parse(write_teacher(tmp_path / name, small_architecture, seed=seed))
        for name, seed in (("one", 1), ("two", 2))
    )
    run = TrainingRun(
        small_architecture, tiny_data.path, Recipe(batch_size=32), Fidelity(1, 8, 32), 0, tmp_path / "run",
        teacher=one,
    )  # fmt: skip
    assert TrainingRun.from_json(run.to_json()) == run
    run.finish(run.begin())
    for other in (replace(run, teacher=two), replace(run, teacher=None)):
        with pytest.raises(RecordError, match="teacher"):
            other.begin()
