"""Exports that stand already: kept as long as the same would be made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from results.export import export_members as export_module
from results.export.export import ExportResult
from results.export.export_members import export_members
from results.member import write_member
from results.runtimes.sidecar import Sidecar
from search_space.network.model import MoViNet
from tests.results.synthetic import LABELS, clip, network


def write(folder: Path, model: MoViNet, top1: float = 0.5) -> None:
    write_member(folder, "A4", model, recipe_yaml="", labels=LABELS, metrics={"top1": top1})


def change(folder: Path, tolerance: float | None = None, **values: Any) -> None:
    about = Sidecar.read(folder / "step.onnx.json")
    check = about.check if tolerance is None else replace(about.check, tolerance=tolerance)
    replace(about, check=check, **values).write(folder / "step.onnx.json")


CHANGES: dict[str, Callable[[Path], object]] = {
    "other weights": lambda folder: write(folder, network(2)),
    "other figures": lambda folder: write(folder, network(1), top1=0.6),
    "a damaged file": lambda folder: (folder / "step.onnx").write_bytes(b"nothing"),
    "no file": lambda folder: (folder / "step.onnx").unlink(),
    "no sidecar": lambda folder: (folder / "step.onnx.json").unlink(),
    "killed before its end": lambda folder: change(folder, weights_sha256=""),
    "other programs": lambda folder: change(folder, versions={"torch": "0"}),
    "another tolerance": lambda folder: change(folder, tolerance=1.0),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a member, written and exported."""
    folder = tmp_path_factory.mktemp("family") / "A4"
    write(folder, network(1))
    (result,) = export_members([folder], clip())
    assert result.passed, result.reason
    return folder


def test_what_is_exported_already_is_kept(exported: Path) -> None:
    before = (exported / "step.onnx").stat()
    write(exported, network(1))
    (result,) = export_members([exported], clip())
    assert result.passed and result.check == Sidecar.read(exported / "step.onnx.json").check
    after = (exported / "step.onnx").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (
        before.st_ino,
        before.st_mtime_ns,
        result.bytes,
    )


@pytest.mark.parametrize("changed", CHANGES)
def test_what_would_be_another_is_exported_again(
    changed: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(exported, tmp_path / "A4")
    CHANGES[changed](tmp_path / "A4")
    again = ExportResult.failed("A4", "it was exported again")
    monkeypatch.setattr(export_module, "export_folder", lambda *_: again)
    assert list(export_members([tmp_path / "A4"], clip())) == [again]
