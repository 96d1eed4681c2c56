"""The files of members, families and exports: text of version 0.1.0 is read and written alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from results.export.export import ExportResult
from results.family.family import Family
from results.family.outcome import FAILED, read_outcomes, write_failure
from results.member import read_member
from results.runtimes.preprocessing import Preprocessing
from results.runtimes.sidecar import Check, Sidecar
from search_space.errors import ExportError, NetworkError, RecordError

LINE = "stream_8x24x8_s8_w8s2-13e16-a_w16s2-33e16-53e16-ab_h32x48"
FAMILY = """
{
  "format": "movinas-family-1",
  "span": 2.0,
  "cost": "macs",
  "notes": ["The confirmed frontier has 2 members"],
  "members": [
    {"name": "A0", "architecture": "LINE", "digest": "0", "macs": 1000000, "accuracy": 0.5, "spread": 0.01,
     "seeds": 3, "parameters": 20000, "state_bytes": 1000, "budget": 1000000.0, "parts": [],
     "scaled_from": "", "latency_ms": null},
    {"name": "A1", "architecture": "LINE", "digest": "1", "macs": 2000000, "accuracy": 0.6, "spread": 0.01,
     "seeds": 3, "parameters": 40000, "state_bytes": 2000, "budget": 2000000.0, "parts": [],
     "scaled_from": "0", "latency_ms": 1.5},
    {"name": "A6", "architecture": "", "digest": "", "macs": 3000000, "accuracy": null, "spread": 0.0,
     "seeds": 0, "parameters": 60000, "state_bytes": 3000, "budget": null, "parts": ["A0", "A1"],
     "scaled_from": "", "latency_ms": null}
  ]
}
""".replace("LINE", LINE)
ARCHITECTURE = """
{
  "stem": 8,
  "stages": [
    {"width": 8, "stride": 2, "layers": [{"kernel": "1x3x3", "expansion": 16, "squeeze": true}]},
    {"width": 16, "stride": 2, "layers": [
      {"kernel": "3x3x3", "expansion": 16, "squeeze": true},
      {"kernel": "5x3x3", "expansion": 16, "squeeze": true}]}
  ],
  "head": 32,
  "hidden": 48,
  "input": {"frames": 8, "size": 24, "fps": 8.0},
  "options": {"convolution": "2plus1d", "squeeze": "2plus3d", "activation": "hard_swish",
              "gate": "hard_sigmoid", "causal": true, "position_encoding": false}
}
"""
MEMBER = """
{
  "format": "movinas-member-1",
  "name": "A1",
  "architectures": ["LINE"],
  "digest": "3df17ea6884aa3e6",
  "parts": [],
  "labels": ["label 0", "label 1"],
  "metrics": {"top1": 0.75, "confirmed_top1": 0.7},
  "trained": {"epochs": 2, "data set": "x", "seed": 0},
  "costs": {"macs": 672240, "macs_per_frame": 84030.0, "parameters": 6152, "state_bytes": 3792},
  "weights_sha256": "ce915627bd0ad6fb4ff996978c09a06650c5e8bbc42065adb09093aff985f47e",
  "versions": {"python": "3.11.7", "movinas": "0.1.0", "torch": "2.13.0+cpu"}
}
""".replace("LINE", LINE)
SIDECAR = """
{
  "format": "movinas-export-3",
  "name": "A1",
  "file": "step.onnx",
  "sha256": "1708d87a2fe7434e080bc4309b10f2fa77094fed52afda6f14b84b83bbe2dce1",
  "form": "step",
  "precision": "float32",
  "architectures": ["LINE"],
  "digest": "3df17ea6884aa3e6",
  "runtime": "onnxruntime",
  "counters": [{"name": "reciprocal", "shape": [1, 1, 1, 1], "dtype": "float32", "value": "1 / n"}],
  "states": [
    {"name": "state_0", "shape": [1, 16, 3, 3], "dtype": "float32", "next": "state_1", "start": 0},
    {"name": "state_1", "shape": [1, 16, 3, 3], "dtype": "float32", "next": "new_state_1", "start": 0}
  ],
  "labels": ["label 0", "label 1"],
  "check": {"frames": 16, "max_difference": 2.5e-07, "largest_logit": 0.5, "tolerance": 0.0001,
            "latency_ms": 0.079473, "latency_p95_ms": 0.095, "agreement": 1.0, "relative": 5e-07},
  "accuracy": {"top1": 0.75},
  "versions": {"python": "3.11.7", "movinas": "0.1.0", "torch": "2.13.0+cpu", "onnx": "1.23.2"},
  "inputs": [
    {"name": "frame", "shape": [1, 3, 24, 24], "dtype": "float32"},
    {"name": "reciprocal", "shape": [1, 1, 1, 1], "dtype": "float32"},
    {"name": "state_0", "shape": [1, 16, 3, 3], "dtype": "float32"},
    {"name": "state_1", "shape": [1, 16, 3, 3], "dtype": "float32"}
  ],
  "outputs": [
    {"name": "logits", "shape": [1, 2], "dtype": "float32"},
    {"name": "new_state_1", "shape": [1, 16, 3, 3], "dtype": "float32"}
  ],
  "preprocessing": {"size": 24, "fps": 8.0, "range": [0.0, 1.0], "layout": "NCHW", "channels": "RGB",
                    "fit": "short side to size (area where it shrinks, else bilinear), centre crop"}
}
""".replace("LINE", LINE)


def test_a_family_is_read_and_written_alike(tmp_path: Path) -> None:
    path = tmp_path / "family.json"
    path.write_text(FAMILY)
    family = Family.read(path)
    assert [member.name for member in family.singles] == ["A0", "A1"]
    assert family.ensemble is not None and family.ensemble.parts == ("A0", "A1")
    assert family["A1"].latency_ms == 1.5 and family["A1"].scaled_from == "0"
    family.write(path)
    assert json.loads(path.read_text()) == json.loads(FAMILY)


def test_a_member_is_read(tmp_path: Path) -> None:
    (tmp_path / "member.json").write_text(MEMBER)
    (tmp_path / "architecture.json").write_text(ARCHITECTURE)
    member = read_member(tmp_path)
    assert (member.name, member.labels, member.digest) == ("A1", ("label 0", "label 1"), "3df17ea6884aa3e6")
    assert member.trained == {"epochs": 2, "data set": "x", "seed": 0} and member.parts == ()


def test_a_sidecar_is_read_and_written_alike(tmp_path: Path) -> None:
    path = tmp_path / "step.onnx.json"
    path.write_text(SIDECAR)
    sidecar = Sidecar.read(path)
    assert sidecar.preprocessing == Preprocessing(24, 8.0)
    assert sidecar.check == Check(16, 2.5e-07, 0.5, 1e-4, 0.079473, 0.095)
    assert [state.next for state in sidecar.states] == ["state_1", "new_state_1"]
    sidecar.write(path)
    later: dict[str, Any] = {"oldest_runtime": "", "weights_sha256": "", "settings": [], "graph": ""}
    later["check"] = json.loads(SIDECAR)["check"] | {"float32_share": None}
    later["companions"] = {}
    assert json.loads(path.read_text()) == json.loads(SIDECAR) | later


def test_the_reason_of_a_failed_export_is_read(tmp_path: Path) -> None:
    (tmp_path / "family.json").write_text(FAMILY)
    family = Family.read(tmp_path / "family.json")
    folder = tmp_path / "family" / "A0"
    folder.mkdir(parents=True)
    (folder / "member.json").write_text(MEMBER)
    (folder / "architecture.json").write_text(ARCHITECTURE)
    (folder / FAILED).write_text('{\n  "reason": "it differs"\n}\n')
    export = read_outcomes(tmp_path, family)["A0"].export
    assert export is not None and export.reason == "it differs"
    write_failure(folder, ExportResult.failed("A0", "no memory"))
    assert json.loads((folder / FAILED).read_text()) == {"reason": "no memory"}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"macs": 1000000', '"macs": "many"', r"members\.0\.macs"),
        ('"seeds": 3', '"seeds": 2.5', "seeds"),
        ('"notes": ["The', '"notes": [7, "The', "notes"),
    ],
)
def test_wrong_values_of_a_family_are_named(old: str, new: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "family.json"
    path.write_text(FAMILY.replace(old, new))
    with pytest.raises(RecordError, match=place):
        Family.read(path)


def test_wrong_values_of_members_and_sidecars_are_named(tmp_path: Path) -> None:
    (tmp_path / "architecture.json").write_text(ARCHITECTURE)
    (tmp_path / "member.json").write_text(MEMBER.replace('"top1": 0.75', '"top1": "good"'))
    with pytest.raises(NetworkError, match=r"metrics\.top1"):
        read_member(tmp_path)
    (tmp_path / "step.onnx.json").write_text(SIDECAR.replace('"channels": "RGB"', '"channels": "BGR"'))
    with pytest.raises(ExportError, match="channels"):
        Sidecar.read(tmp_path / "step.onnx.json")
