"""The command over members, checkpoints, exports and ensembles: what it writes, resumes and refuses."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import movinas
from results.export.export import ExportTarget, export_network
from results.member import write_member
from results.publishing.hub_folder import write_hub_folder
from search_space.network.model import MoViNet
from search_space.network.weights import save_weights
from searcher.standalone.score_record import PARTS
from tests.results.evaluation.coloured_videos import COLOURS, NETWORK

Call = Callable[..., tuple[int, str, str]]
CLASSES = len(COLOURS)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process: exit status, output and errors."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["movinas", "evaluate", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            movinas.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return run


def figures(folder: Path) -> dict[str, float]:
    found: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return {name: figure["value"] for name, figure in found["figures"].items()}


def with_outputs(model: MoViNet, order: list[int]) -> MoViNet:
    """Return a copy whose outputs are those of ``order``; a number beyond the classes is a silent output."""
    from search_space.network.model import build

    copy = build(model.architecture, len(order), seed=0)
    own, state = copy.state_dict(), model.state_dict()
    for name, tensor in state.items():
        if name.startswith("head.classifier."):
            silent = torch.full_like(tensor[:1], 0.0 if tensor.ndim > 1 else -50.0)
            rows = torch.cat([tensor, silent])
            own[name].copy_(rows[[min(number, CLASSES) for number in order]])
        else:
            own[name].copy_(tensor)
    return copy.eval()


def test_everything_is_written_and_agrees(member: Path, videos: Path, tmp_path: Path, call: Call) -> None:
    status, out, _ = call(member, "--data", videos, "--views", "3x3", "--output", tmp_path / "out")
    assert status == 0 and "50 videos" in out and "5 of 5 classes joined by name" in out
    folder = tmp_path / "out"
    rows = pd.read_parquet(folder / "predictions.parquet")
    found = figures(folder)
    assert len(rows) == 50 and found["top1"] == pytest.approx((rows["label"] == rows["predicted"]).mean())
    assert found["top1"] > 0.8, "the network knows its classes"
    names = list(COLOURS)
    logits = np.stack(rows["logits"].to_list())
    assert [names[index] for index in logits.argmax(1)] == rows["predicted"].tolist()
    table = list(csv.reader((folder / "confusion.csv").open()))
    assert table[0][1:] == names
    matrix = np.array([row[1:] for row in table[1:]], int)
    assert matrix.sum() == 50 and np.trace(matrix) == round(50 * found["top1"])
    assert (folder / "confusion.png").read_bytes()[:4] == b"\x89PNG"
    wrong = list(csv.DictReader((folder / "wrong.csv").open()))
    assert len(wrong) == 50 - np.trace(matrix)
    losses = [float(row["loss"]) for row in wrong]
    assert losses == sorted(losses, reverse=True)


def test_a_second_call_scores_nothing_and_other_views_are_refused(
    member: Path, videos: Path, tmp_path: Path, call: Call
) -> None:
    words = (member, "--data", videos, "--output", tmp_path / "out")
    assert call(*words)[0] == 0
    before = figures(tmp_path / "out")
    assert call(*words)[0] == 0
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert found["scored in this call"] == 0 and figures(tmp_path / "out") == before
    status, _, err = call(*words, "--views", "2x1")
    assert status == 2 and "holds scores of other views: 1x1 there, 2x1 here" in err
    (videos / "val" / "red" / "new.mp4").write_bytes((videos / "val" / "red" / "0.mp4").read_bytes())
    try:
        status, _, err = call(*words)
        assert status == 2 and "other data digest" in err
    finally:
        (videos / "val" / "red" / "new.mp4").unlink()


def test_json_is_all_that_is_printed(member: Path, videos: Path, tmp_path: Path, call: Call) -> None:
    status, out, err = call(member, "--data", videos, "--output", tmp_path / "out", "--json")
    assert status == 0 and json.loads(out) == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert "joined by name" in err


def test_a_checkpoint_is_joined_by_the_names_of_its_outputs(
    trained: MoViNet, videos: Path, tmp_path: Path, call: Call
) -> None:
    order = [3, 9, 1, 0, 4, 2]
    save_weights(with_outputs(trained, order), tmp_path / "weights.safetensors")
    names = [*COLOURS, "no colour"]
    (tmp_path / "outputs.txt").write_text("\n".join(names[min(number, 5)].upper() for number in order))
    rows = "".join(f"{number},{names[min(name, 5)]}\n" for number, name in enumerate(order))
    (tmp_path / "outputs.csv").write_text("id,name\n" + rows)
    numbers = {names[min(name, 5)]: number for number, name in enumerate(order)} | {"Rouge": 4}
    (tmp_path / "outputs.json").write_text(json.dumps(numbers))
    words = (NETWORK.text, "--weights", tmp_path / "weights.safetensors", "--data", videos)
    found = []
    for suffix in ("txt", "csv", "json"):
        folder = tmp_path / suffix
        status, out, err = call(*words, "--labels", tmp_path / f"outputs.{suffix}", "--output", folder)
        assert status == 0 and "at another number" in out, err
        found.append(figures(folder)["top1"])
    assert found[0] > 0.8 and found == [found[0]] * 3


def test_shifted_outputs_are_refused_with_how_many_classes(
    trained: MoViNet, videos: Path, tmp_path: Path, call: Call
) -> None:
    # As if an output for the background came first, and the last class had been left out.
    save_weights(with_outputs(trained, [9, 0, 1, 2, 3]), tmp_path / "weights.safetensors")
    words = (NETWORK.text, "--weights", tmp_path / "weights.safetensors", "--data", videos)
    status, _, err = call(*words, "--output", tmp_path / "out")
    assert status == 2 and "shifted by one" in err and "takes 4 for the one after them" in err
    assert "'blue' for 'cyan'" in err
    assert not (tmp_path / "out" / "evaluation.json").exists()
    assert call(*words, "--output", tmp_path / "out")[0] == 2, "also from what is recorded"
    (tmp_path / "names.txt").write_text("background\n" + "\n".join(list(COLOURS)[:4]))
    status, _, err = call(*words, "--labels", tmp_path / "names.txt", "--output", tmp_path / "out")
    assert status == 2 and "1 classes" in err and "'red'" in err


@pytest.mark.parametrize("form", ["clip", "step"])
def test_exports_score_as_their_network(
    form: str, trained: MoViNet, member: Path, videos: Path, tmp_path: Path, call: Call
) -> None:
    folder = tmp_path / "exported"
    shutil.copytree(member, folder)
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    target = ExportTarget("onnx", "clip" if form == "clip" else "step", streams=1 if form == "clip" else 3)
    made = export_network(trained, folder, frames, name="A1", labels=tuple(COLOURS), target=target)
    assert made.path is not None
    for source, output in ((made.path, "export"), (member, "member")):
        status, _, err = call(source, "--data", videos, "--views", "2x1", "--output", tmp_path / output)
        assert status == 0, err
    tables = [pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("export", "member")]
    one, two = (np.exp(np.stack(table["logits"].to_list())) for table in tables)
    assert one / one.sum(1, keepdims=True) == pytest.approx(two / two.sum(1, keepdims=True), abs=1e-4)


def test_frame_by_frame_scores_as_whole_clips(member: Path, videos: Path, tmp_path: Path, call: Call) -> None:
    for output, more in (("clip", []), ("stream", ["--stream"])):
        assert call(member, "--data", videos, "--output", tmp_path / output, *more)[0] == 0
    one, two = (
        np.stack(pd.read_parquet(tmp_path / name / "predictions.parquet")["logits"].to_list())
        for name in ("clip", "stream")
    )
    assert one == pytest.approx(two, abs=1e-4) and np.ptp(one) > 1


def test_an_ensemble_is_the_mean_of_its_networks_logits(
    trained: MoViNet, member: Path, videos: Path, tmp_path: Path, call: Call
) -> None:
    other = with_outputs(trained, list(range(CLASSES)))
    with torch.no_grad():
        other.head.classifier.bias.add_(torch.linspace(-2, 2, CLASSES))
    write_member(tmp_path / "A2", "A2", other, recipe_yaml="", labels=tuple(COLOURS), metrics={})
    outputs = [tmp_path / name for name in ("one", "two", "both")]
    for networks, output in zip(
        ([member], [tmp_path / "A2"], [member, tmp_path / "A2"]), outputs, strict=True
    ):
        status, _, err = call(*networks, "--data", videos, "--output", output)
        assert status == 0, err
    one, two, both = (
        np.stack(pd.read_parquet(output / "predictions.parquet")["logits"].to_list()) for output in outputs
    )
    assert both == pytest.approx((one + two) / 2, abs=1e-5) and abs(one - two).max() > 0.5
    assert {path.name for path in (tmp_path / "both").glob(f"*/{PARTS}/..")} or (
        tmp_path / "both/0-A1"
    ).is_dir()


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("no weights", "without weights"),
        ("other classes", "another number of classes"),
        ("other network", "weights belong"),
        ("no such file", "there are no weights"),
        ("names of other classes", "has 5 classes that none of 5 outputs"),
        ("numbers from one", "numbers begin at 1"),
        ("empty line", "line 2: no name"),
        ("two names", "is the name of the outputs 0 and 3"),
        ("base network", "needs whole clips"),
        ("no such split", "no labelled video in its test2 split"),
        ("foreign folder", "did not write"),
        ("no such device", "--device gpu: "),
        ("too many weights", "2 --weights for 1 networks"),
    ],
)
def test_what_does_not_fit_is_refused_before_work_starts(
    case: str, expected: str, trained: MoViNet, videos: Path, tmp_path: Path, call: Call
) -> None:
    weights, names = tmp_path / "weights.safetensors", tmp_path / "names.txt"
    save_weights(with_outputs(trained, [0, 1] if case == "other classes" else [0, 1, 2, 3, 4]), weights)
    network, words = NETWORK.text, ["--weights", weights]
    if case == "no weights":
        words = []
    elif case == "other network":
        network = "A0-stream"
    elif case == "no such file":
        words = ["--weights", tmp_path / "gone.safetensors"]
    elif case == "base network":
        network, words = NETWORK.text.replace("stream_", "base_"), [*words, "--stream"]
    elif case == "no such split":
        words += ["--split", "test2"]
    elif case == "no such device":
        words += ["--device", "gpu"]
    elif case == "too many weights":
        words += ["--weights", weights]
    elif case == "foreign folder":
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "evaluation.json").write_text("mine")
    texts = {
        "names of other classes": "one\ntwo\nthree\nfour\nfive",
        "empty line": "blue\n\ngreen",
        "two names": "blue\ncyan\ngreen\nBlue\nred",
    }
    if case in texts:
        names.write_text(texts[case])
        words += ["--labels", names]
    if case == "numbers from one":
        names = tmp_path / "names.csv"
        names.write_text("".join(f"{number},{name}\n" for number, name in enumerate(COLOURS, 1)))
        words += ["--labels", names]
    status, _, err = call(network, *words, "--data", videos, "--output", tmp_path / "out")
    assert status == 2 and expected in err, err
    assert "remedy: " in err and not list(tmp_path.glob("out/**/*.parquet"))


def test_missing_videos_are_refused_and_can_be_left_out(
    trained: MoViNet, videos: Path, tmp_path: Path, call: Call
) -> None:
    root = tmp_path / "kinetics"
    root.mkdir()
    head, rows = "label,youtube_id,time_start,time_end,split\n", ""
    for number, name in enumerate(COLOURS):
        rows += f"{name},video_{number},0,10,val\n"
        if number:
            shutil.copy(videos / "val" / name / "0.mp4", root / f"video_{number}_000000_000010.mp4")
    (root / "val.csv").write_text(head + rows)
    save_weights(trained, tmp_path / "weights.safetensors")
    words = (NETWORK.text, "--weights", tmp_path / "weights.safetensors", "--data", f"kinetics:{root}")
    status, _, err = call(*words, "--output", tmp_path / "out")
    assert status == 2 and "1 of 5 annotated videos" in err and "video_0" in err
    status, out, err = call(*words, "--output", tmp_path / "out", "--skip-missing")
    assert status == 0 and "1 annotated videos do not exist and do not count" in out, err
    assert len(pd.read_parquet(tmp_path / "out" / "predictions.parquet")) == 4


@pytest.mark.parametrize("place", ["member", "hub"])
def test_the_names_beside_weights_are_used(
    place: str, trained: MoViNet, videos: Path, tmp_path: Path, call: Call
) -> None:
    order = [3, 1, 0, 4, 2]
    names = tuple(list(COLOURS)[number] for number in order)
    write_member(
        tmp_path / "A2", "A2", with_outputs(trained, order), recipe_yaml="", labels=names, metrics={}
    )
    folder = tmp_path / "A2"
    if place == "hub":
        folder = write_hub_folder(folder, tmp_path / "hub")
    words = (NETWORK.text, "--weights", folder, "--data", videos, "--output", tmp_path / "out")
    status, out, err = call(*words)
    assert status == 0 and "5 of 5 classes joined by name" in out, err
    assert figures(tmp_path / "out")["top1"] > 0.8


def test_labels_that_contradict_a_member_are_refused(
    member: Path, videos: Path, tmp_path: Path, call: Call
) -> None:
    names = list(COLOURS)
    cases = {
        "'cyan' is output 0": [names[1], names[0], *names[2:]],
        "names 6 outputs": ["background", *names],
    }
    for expected, lines in cases.items():
        (tmp_path / "names.txt").write_text("\n".join(lines))
        words = ("--data", videos, "--labels", tmp_path / "names.txt", "--output", tmp_path / "out")
        status, _, err = call(member, *words)
        assert status == 2 and expected in err and not (tmp_path / "out").exists()
