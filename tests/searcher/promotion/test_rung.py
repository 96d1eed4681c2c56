"""Rungs that are more than epochs: what they say, and trainings that go on from one to the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from proxy_train.data import moving_digits
from proxy_train.recipe import Recipe
from proxy_train.store.prepared_data import prepare
from proxy_train.training.checkpoint import read_checkpoint
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import STREAM, ClipShape, Kernel, Layer, Stage
from search_space.errors import SettingsError
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.plan.job import Job
from searcher.promotion.rung import Rung
from searcher.settings.settings import SearchSettings, Settings

CLIP = ClipShape(4, 16, 4)
STAGES = (Stage(8, 2, (Layer(Kernel(3, 3), 16),)),)
NETWORK = Architecture(8, STAGES, 16, 16, CLIP, STREAM)
RUNGS = (Rung(epochs=1, share=0.5, frames=0.5, size=0.5, width=0.5), Rung(epochs=2, size=0.5), Rung(epochs=3))


def job(folder: Path, measured: tuple[int, ...] = ()) -> Job:
    fidelities = tuple(rung.fidelity(CLIP) for rung in RUNGS)
    made = Job(
        NETWORK, fidelities[-1], 0, "search", folder, (1, 2, 3), measured=measured, fidelities=fidelities
    )
    return Job.from_json(made.to_json())


def test_a_rung_is_a_number_of_epochs_or_parts_by_name() -> None:
    search = SearchSettings.model_validate({"rungs": [{"epochs": 1, "share": 0.5, "size": 0.75}, 4]})
    assert search.rungs == (Rung(epochs=1, share=0.5, size=0.75), Rung(epochs=4))
    assert [rung.fidelity(ClipShape(8, 32, 4)).key for rung in search.rungs] == [
        "e1-f8-s24-p50",
        "e4-f8-s32-p100",
    ]
    assert search.model_dump()["rungs"][1] == 4, "a record of plain rungs stays what it was"
    settings = Settings.model_validate({"search": {"rungs": search.model_dump()["rungs"]}})
    assert settings.search.rungs == search.rungs


def test_a_job_goes_through_its_fidelities_in_stages(tmp_path: Path) -> None:
    stages = job(tmp_path).stages
    assert [(stage.horizon.key, stage.rungs) for stage in stages] == [
        ("e3-f2-s8-p50-w50", (1,)),
        ("e3-f4-s8-p100", (2,)),
        ("e3-f4-s16-p100", (3,)),
    ], "all have the schedule of the whole job"
    assert stages[-1].folder == tmp_path
    assert job(tmp_path).fidelity_at(1).key == "e1-f2-s8-p50-w50"
    plain = Job(NETWORK, RUNGS[-1].fidelity(CLIP), 0, "search", tmp_path, (1, 2, 3))
    assert [stage.rungs for stage in plain.stages] == [(1, 2, 3)]


def test_fidelities_fit_the_rungs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="e2-f4-s16-p100 for its rungs"):
        replace(job(tmp_path), rungs=(3,), fidelities=(Rung(epochs=2).fidelity(CLIP),))


def test_training_goes_on_from_rung_to_rung_as_if_it_were_never_stopped(tmp_path: Path) -> None:
    few = moving_digits.Preset(train=2, val=1, test=1)
    manifest = moving_digits.write(tmp_path / "digits", few)
    dataset = moving_digits.as_dataset(tmp_path / "digits", "few", manifest)
    stores = {
        clip: prepare(dataset, frames=clip.frames, size=clip.size, fps=4, cache=tmp_path).path
        for clip in {rung.clip(CLIP) for rung in RUNGS}
    }
    recipe = Recipe.model_validate({"batch_size": 8})
    evaluator = video_evaluator(stores, recipe).build()
    whole = list(evaluator(job(tmp_path / "whole")))
    assert [each.epoch for each in whole] == [1, 2, 3]
    measured: tuple[int, ...] = ()
    for epoch in (1, 2, 3):
        # A worker of its own for every rung, as after a promotion or a kill.
        epochs = video_evaluator(stores, recipe).build()(job(tmp_path / "parts", measured))
        result = next(iter(epochs))
        assert result.epoch == epoch
        assert result.metrics == whole[epoch - 1].metrics
        measured = (*measured, epoch)
    ends = [read_checkpoint(tmp_path / name) for name in ("whole", "parts")]
    assert ends[0] is not None and ends[1] is not None
    assert ends[0].facts["history"] == ["e1-f2-s8-p50-w50", "e2-f4-s8-p100"]
    for name, tensor in ends[0].tensors.items():
        assert torch.equal(tensor, ends[1].tensors[name]), name
