"""Members on disk: what is written comes back the same, and what is damaged is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from results.export.export import ExportResult
from results.family.card import card, write_card
from results.family.family import Family, FamilyMember
from results.family.outcome import read_outcomes
from results.member import load_member, read_member, write_member
from results.runtimes.sidecar import Check
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE
from search_space.cost.closed_form import compute_cost
from search_space.cost.stopwatch import Latency, network_latency
from search_space.errors import NetworkError
from search_space.network.ensemble import Ensemble
from search_space.network.folding import deploy
from search_space.network.model import MoViNet
from tests.results.synthetic import CLASSES, LABELS, SIZE, architecture, network


def write(folder: Path, model: MoViNet | Ensemble | None = None, name: str = "A1") -> Path:
    write_member(
        folder,
        name,
        model or network(),
        recipe_yaml="epochs: 3\n",
        labels=LABELS,
        metrics={"top1": 0.75, "stream_top1": 0.74},
        trained={"epochs": 3, "seed": 0},
        part_names=("A4", "A5") if isinstance(model, Ensemble) else (),
    )
    return folder


@pytest.mark.parametrize(
    "model", [network(), network(options=BASE), Ensemble([network(1), network(2, expansion=24)])]
)
def test_members_come_back_the_same(model: MoViNet | Ensemble, tmp_path: Path) -> None:
    loaded, about = load_member(write(tmp_path / "a", model))
    frames = torch.rand(2, 3, 8, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(frames), model(frames))
    assert about.labels == LABELS
    assert about.metrics == {"top1": 0.75, "stream_top1": 0.74}
    assert about == read_member(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "architecture.json",
        "member.json",
        "recipe.yaml",
        "weights.safetensors",
    ]


def test_architecture_json_is_the_architecture(tmp_path: Path) -> None:
    content = json.loads((write(tmp_path) / "architecture.json").read_text())
    assert Architecture.from_json(content) == architecture()


def test_costs_of_an_ensemble_are_sums(tmp_path: Path) -> None:
    about = read_member(write(tmp_path, Ensemble([network(1), network(2, expansion=24)])))
    costs = [compute_cost(architecture(expansion), CLASSES) for expansion in (16, 24)]
    assert about.macs == sum(c.macs for c in costs)
    assert about.parameters == sum(c.parameters for c in costs)
    assert about.state_bytes == sum(c.state_bytes for c in costs)
    assert about.macs_per_frame == pytest.approx(about.macs / 8)


def flip(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def cut(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def age(folder: Path) -> None:
    path = folder / "member.json"
    path.write_text(path.read_text().replace("movinas-member-1", "movinas-member-7"))


def swap_architecture(folder: Path) -> None:
    (folder / "architecture.json").write_text(json.dumps(architecture(40).to_json()))


def break_json(folder: Path) -> None:
    (folder / "member.json").write_text("{")


def drop_labels(folder: Path) -> None:
    content = json.loads((folder / "member.json").read_text())
    del content["labels"]
    (folder / "member.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip, "SHA-256"),
        (cut, "SHA-256"),
        (age, "movinas-member-7"),
        (swap_architecture, "shape"),
        (break_json, "damaged"),
        (drop_labels, "incomplete"),
        (lambda folder: (folder / "weights.safetensors").unlink(), "does not exist"),
        (lambda folder: (folder / "member.json").unlink(), "does not exist"),
        (lambda folder: (folder / "architecture.json").unlink(), "does not exist"),
    ],
)
def test_damaged_members_are_refused(damage: Callable[[Path], None], words: str, tmp_path: Path) -> None:
    damage(write(tmp_path))
    with pytest.raises(NetworkError, match=words):
        load_member(tmp_path)


def test_labels_have_to_be_as_many_as_classes(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="5 classes and 2 labels"):
        write_member(tmp_path, "A0", network(), recipe_yaml="", labels=("a", "b"), metrics={})


def test_card_says_what_a_user_needs(tmp_path: Path) -> None:
    member = read_member(write(tmp_path))
    path = write_card(tmp_path, member, latency=Latency(1.25, 1.5, 50, "pytorch"))
    text = path.read_text(encoding="utf-8")
    for words in (
        "# A1",
        architecture().text,
        "75.0 %",
        "74.0 %",
        f"{member.parameters:,}",
        "1.25 ms",
        "24 x 24 pixels at 8 frames a second",
        "label 4",
        "StreamingClassifier",
        "recipe.yaml",
        "## Limits",
    ):
        assert words in text


def test_card_of_a_base_network_does_not_promise_streaming(tmp_path: Path) -> None:
    text = card(read_member(write(tmp_path, network(options=BASE))))
    assert "stream" not in text.replace("base", "").lower()


def test_card_of_an_ensemble_names_its_parts(tmp_path: Path) -> None:
    text = card(read_member(write(tmp_path, Ensemble([network(1), network(2)]))))
    assert "ensemble of A4 and A5" in text


def test_labels_cannot_break_the_card(tmp_path: Path) -> None:
    labels = ("a|b", "*c*\n# d", "<e>", "f", "g")
    write_member(tmp_path, "A0", network(), recipe_yaml="", labels=labels, metrics={})
    text = card(read_member(tmp_path))
    assert "a\\|b, \\*c\\* # d, \\<e\\>" in text


def test_outcomes_are_gathered_from_folders(tmp_path: Path) -> None:
    members = tuple(FamilyMember(name, "", "", 1, 0.5, 0.0, 1, 1, 1) for name in ("A0", "A1"))
    write(tmp_path / "family" / "A1")
    outcomes = read_outcomes(tmp_path, Family(members))
    assert list(outcomes) == ["A1"]
    assert outcomes["A1"].folder == "family/A1"
    assert outcomes["A1"].metrics["top1"] == 0.75
    assert outcomes["A1"].export is None


def test_latency_is_measured_over_the_frames_asked_for() -> None:
    before = torch.get_num_threads()
    model = deploy(network())
    latency = network_latency(model, architecture().input, calls=7, warmup=2)
    assert latency.frames == 7
    assert 0 < latency.median <= latency.p95
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("difference", "largest", "passed"),
    [(1e-5, 1.0, True), (2e-4, 1.0, False), (float("nan"), 1.0, False), (0.0, 0.0, True), (1e-9, 0.0, False)],
)
def test_check_compares_with_the_largest_logit(difference: float, largest: float, passed: bool) -> None:
    assert Check(16, difference, largest, 1e-4, 1.0, 1.0).passed == passed
    assert ExportResult("A0", None, None, 0, 0.0, "no").passed is False
