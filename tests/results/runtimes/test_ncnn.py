"""What is wrong with pnnx, its graph, or the file beside the graph is said by name; ncnn is not needed."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from results.export.export import ExportTarget, export_network
from results.inference.runners import ExportRunner
from results.runtimes.ncnn import NCNN, _renamed
from results.runtimes.onnx import ONNX, Onnx
from results.runtimes.runtime import Program
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.errors import ExportError
from search_space.files import sha256
from tests.results.synthetic import LABELS, clip, network

GRAPH = """7767517
3 4
Input       in0      0 1 in0
Convolution conv_1   1 1 in0 5 0=8 1=3
Split       splitncnn_0 1 2 5 out0 in01
"""


def test_inputs_and_outputs_have_the_names_of_the_sidecar() -> None:
    assert _renamed(GRAPH, ["frame"], ["logits"]).splitlines() == [
        "7767517",
        "3 4",
        "Input in0 0 1 frame",
        "Convolution conv_1 1 1 frame 5 0=8 1=3",
        "Split splitncnn_0 1 2 5 logits in01",
    ]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            "echo pages; echo 'Unsupported operator Foo at node_7'; echo pages; exit 1",
            "operator Foo at node_7",
        ),
        ("echo pages; kill -9 $$", "ended by signal 9"),
        ("echo pages", "cannot convert .*pages"),
        (
            "printf '7767517\\n1 1\\naten::foo x 0 1 in0\\n' > step.ncnn.param; touch step.ncnn.bin",
            "no operation aten::foo",
        ),
        ("printf '1\\n1 1\\n' > step.ncnn.param; touch step.ncnn.bin", "begins with '1', not 7767517"),
    ],
)
def test_what_pnnx_cannot_convert_is_said(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "pnnx"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "pnnx", SimpleNamespace(EXEC_PATH=str(program)))
    monkeypatch.setitem(
        sys.modules, "ncnn", SimpleNamespace(layer_to_index=lambda kind: 6 if "::" not in kind else -1)
    )
    # What the graph is does not matter to these scripts, and making one takes seconds.
    monkeypatch.setattr(Onnx, "convert", lambda _, __, path: path.write_bytes(b"graph"))
    target = tmp_path / "exports"
    with pytest.raises(ExportError, match=rf"(?s){words}.*another --runtime"):
        export_network(network(), target, clip(), name="A0", labels=LABELS, target=ExportTarget("ncnn"))
    assert list(target.iterdir()) == []


def test_the_file_beside_the_graph_goes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(self: object, program: Program, path: Path) -> None:
        path.with_suffix(".bin").write_bytes(b"weights")
        raise ExportError("in the middle", hint="none")

    monkeypatch.setattr(type(NCNN), "modules", ())
    monkeypatch.setattr(type(NCNN), "convert", convert)
    with pytest.raises(ExportError, match="in the middle"):
        export_network(network(), tmp_path, clip(), name="A0", labels=LABELS, target=ExportTarget("ncnn"))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported step."""
    folder = tmp_path_factory.mktemp("exported")
    export_network(network(), folder, clip(), name="A0", labels=LABELS)
    return folder


@pytest.mark.parametrize(
    ("told", "written", "words"),
    [
        ({"step.bin": "right"}, b"weights", ""),
        ({"step.bin": "right"}, b"others", r"step\.bin is not what step\.onnx\.json describes"),
        ({"step.bin": "right"}, None, r"step\.bin does not exist, and .*step\.onnx needs it"),
        ({}, b"weights", r"step\.onnx needs step\.bin beside it, and step\.onnx\.json describes nothing"),
        ({"../step.bin": "right"}, b"weights", r"describes \.\./step\.bin"),
    ],
)
def test_the_file_beside_the_graph_is_checked(
    told: dict[str, str],
    written: bytes | None,
    words: str,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Path(shutil.copy(exported / "step.onnx", tmp_path))
    shutil.copy(sidecar_of(exported / "step.onnx"), tmp_path)
    other = tmp_path / "step.bin"
    other.write_bytes(b"weights")
    # As before there were any.
    content = json.loads(sidecar_of(path).read_text())
    assert content.pop("companions") == {}
    sidecar_of(path).write_text(json.dumps(content))
    about, digest = Sidecar.read(sidecar_of(path)), sha256(other)
    replace(about, companions=dict.fromkeys(told, digest)).write(sidecar_of(path))
    other.unlink() if written is None else other.write_bytes(written)
    monkeypatch.setattr(type(ONNX), "companions", (".bin",))
    if not words:
        ExportRunner(path)
        return
    with pytest.raises(ExportError, match=words):
        ExportRunner(path)
