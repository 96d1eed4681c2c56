"""Folders for the Hugging Face hub, read back by its own client, and files for the PyTorch port."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from proxy_train.training.initial_weights import InitialWeights
from proxy_train.training.pretrained import Pretrained
from results.member import load_member, write_member
from results.publishing.hub_folder import write_hub_folder
from results.publishing.hub_network import hub_network
from results.publishing.port_files import write_port_files
from search_space.architecture.architecture import Architecture
from search_space.errors import ExportError, NetworkError
from search_space.network.ensemble import Ensemble
from search_space.network.model import build
from search_space.network.official_weights import load_port
from tests.search_space.network.small_networks import lively
from tests.test_command_line import call

NETWORK = Architecture.parse("stream_8x32x4_s8_w8s2-33e16-a_w16s2-53e40-13e24-ab_h32x32")
LABELS = ("walk", "run: fast", "jump | high", "42", "ja")


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A member's folder of a stream network with lively weights."""
    folder = tmp_path_factory.mktemp("family") / "A0"
    model = lively(build(NETWORK, len(LABELS), seed=0)).float()
    trained: dict[str, str | int | float] = {"data set": "mine: all", "epochs": 3}
    metrics = {"top1": 0.75, "top5": 1.0, "stream_top1": 0.5}
    write_member(folder, "A0", model, recipe_yaml="{}", labels=LABELS, metrics=metrics, trained=trained)
    return folder


@pytest.fixture(scope="module")
def hub(member: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hub_folder(member, tmp_path_factory.mktemp("hub") / "A0", license_name="apache-2.0")


def front_matter(folder: Path) -> dict[str, Any]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_the_folder_says_what_the_hub_looks_for(hub: Path, member: Path) -> None:
    assert sorted(path.name for path in hub.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((hub / "config.json").read_text())
    assert config["id2label"] == {str(index): label for index, label in enumerate(LABELS)}
    assert Architecture.from_json(config["architecture"]) == NETWORK
    assert config["num_labels"] == 5 and config["input"]["num_frames"] == 8
    front = front_matter(hub)
    assert front["pipeline_tag"] == "video-classification" and front["license"] == "apache-2.0"
    (result,) = front["model-index"][0]["results"]
    assert [metric["value"] for metric in result["metrics"]] == [0.75, 0.5]
    card = (hub / "README.md").read_text()
    assert "hub_network().from_pretrained" in card and "StreamingClassifier" not in card
    model, _ = load_member(member)
    tensors = load_file(hub / "model.safetensors")
    assert all(torch.equal(value, tensors[name]) for name, value in model.state_dict().items())


def test_it_is_read_back_here(hub: Path, member: Path) -> None:
    model, _ = load_member(member)
    heir = build(NETWORK, len(LABELS), seed=1)
    assert InitialWeights(hub).load_into(heir)
    assert torch.equal(heir.stem.weight, model.state_dict()["stem.weight"])
    source = Pretrained.parse(hub)
    assert source.labels == LABELS and source.architectures == (NETWORK,)
    assert torch.equal(source.state()[0]["stem.weight"], heir.stem.weight)


def test_the_hubs_own_client_loads_it(hub: Path, member: Path, tmp_path: Path) -> None:
    client = pytest.importorskip("huggingface_hub")
    network = hub_network().from_pretrained(hub)
    model, _ = load_member(member)
    clip = torch.rand(1, 3, 4, 32, 32)
    assert not network.training and network.labels == LABELS
    with torch.no_grad():
        assert torch.equal(network(clip), model(clip))
    # What the client saves, it loads; and it reads the card.
    network.save_pretrained(tmp_path / "again")
    again = hub_network().from_pretrained(tmp_path / "again")
    with torch.no_grad():
        assert torch.equal(again.eval()(clip), model(clip))
    card = client.ModelCard.load(hub / "README.md").data
    assert (card.library_name, card.pipeline_tag, card.license) == (
        "movinas",
        "video-classification",
        "apache-2.0",
    )
    assert [result.metric_value for result in card.eval_results] == [0.75, 0.5]


def test_the_client_refuses_weights_of_another_network(hub: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    tensors = load_file(hub / "model.safetensors")
    del tensors["head.hidden.weight"]
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((hub / "config.json").read_text())
    with pytest.raises(RuntimeError, match=r"head\.hidden\.weight"):
        hub_network().from_pretrained(tmp_path)


def test_without_the_client_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    hub_network.cache_clear()
    with pytest.raises(ExportError, match=r"pip install 'movinas\[hub\]'"):
        hub_network()


def test_the_ports_files_hold_the_network(member: Path, tmp_path: Path) -> None:
    folder = write_port_files(member, tmp_path / "port")
    described = json.loads((folder / "movinets.json").read_text())
    assert described["arguments"] == {
        "causal": True,
        "num_classes": 5,
        "conv_type": "2plus1d",
        "tf_like": True,
    }
    assert described["cfg"]["blocks"][1][0] == {
        "input_channels": 8,
        "out_channels": 16,
        "expanded_channels": 40,
        "kernel_size": [5, 3, 3],
        "stride": [1, 2, 2],
        "padding": [2, 1, 1],
        "padding_avg": [0, 1, 1],
    }
    heir = build(NETWORK, 5)
    load_port(heir, load_file(folder / "movinets.safetensors"))
    model, _ = load_member(member)
    assert torch.equal(heir.stem.weight, model.state_dict()["stem.weight"])


def test_the_command_writes_both_and_writes_them_anew(
    member: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--for", "movinets"], [], ["--license", "mit"]):
        output = tmp_path / ("port" if "movinets" in words else "hub")
        for _ in range(2):
            assert call(monkeypatch, "weights", str(member), "--output", str(output), *words) == 0
    assert front_matter(tmp_path / "hub")["license"] == "mit"
    assert f"hf upload NAME {tmp_path / 'hub'}" in capsys.readouterr().out
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("mine")
    refused: list[tuple[list[str], str]] = [
        ([str(member), "--output", str(tmp_path / "other")], "README.md, which this command did not write"),
        ([str(member), "--output", str(member)], "which is read"),
        ([str(member), "--output", str(tmp_path / "a"), "--for", "tensorflow"], "--for 'tensorflow'"),
        (
            [str(member), "--output", str(tmp_path / "a"), "--for", "movinets", "--license", "mit"],
            "--license",
        ),
        ([str(tmp_path), "--output", str(tmp_path / "a")], "member.json"),
    ]
    for words, said in refused:
        assert call(monkeypatch, "weights", *words) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_ensembles_and_what_the_port_lacks_are_refused(tmp_path: Path) -> None:
    networks = [build(NETWORK, 5, seed=seed) for seed in (1, 2)]
    facts: dict[str, Any] = {"recipe_yaml": "{}", "labels": LABELS, "metrics": {}}
    write_member(tmp_path / "both", "both", Ensemble(networks), part_names=("A", "B"), **facts)
    for write in (write_hub_folder, write_port_files):
        with pytest.raises(ExportError, match="is an ensemble of A and B"):
            write(tmp_path / "both", tmp_path / "out")
    encoded = NETWORK.with_options(replace(NETWORK.options, position_encoding=True))
    write_member(tmp_path / "A3", "A3", build(encoded, 5), **facts)
    with pytest.raises(NetworkError, match="position_encoding=True"):
        write_port_files(tmp_path / "A3", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "model-index" not in front_matter(write_hub_folder(tmp_path / "A3", tmp_path / "out"))
