"""Runs that begin with trained weights and end with a teacher: what is recorded, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from proxy_train.fidelity import Fidelity
from results.analysis.candidates import Columns
from results.analysis.measurements import schedule
from results.plots.frontier_view import fidelity_words, searched_words
from search_space.architecture.architecture import Architecture
from search_space.errors import MovinasError, SettingsError
from search_space.files import write_json
from search_space.network.model import build
from search_space.network.weights import save_weights
from searcher.evaluator.video_evaluator import VideoEvaluator, video_evaluator
from searcher.plan.job import Job
from searcher.settings.checks import check_settings, check_teacher
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings
from searcher.testing.domains import SPACE
from tests.proxy_train.moving_videos import MOTIONS, write_motions
from tests.results.synthetic import fidelity, measurement
from tests.searcher.pilot.on_videos import Serial, session_on, settings_on

LARGEST = SPACE.largest()


def write_trained(folder: Path, architecture: Architecture = LARGEST, classes: tuple[str, ...] = ()) -> Path:
    """Write a member's folder with weights; 7 classes unless they are named."""
    folder.mkdir(parents=True)
    save_weights(build(architecture, len(classes) or 7, seed=5), folder / "weights.safetensors")
    write_json(folder / "architecture.json", architecture.to_json())
    write_json(folder / "member.json", {"labels": list(classes)})
    return folder


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "videos"
    write_motions(folder, train=4, val=2)
    return folder


def settings_of(videos: Path, tmp_path: Path, **changes: Any) -> Settings:
    search = {"trials": 4, "startup": 4, "rungs": [1, 2], "workers": 1, "seeds": []}
    parts: dict[str, Any] = {"search": search, "confirmation": {"epochs": 2, "seeds": 1, "members": 2}}
    return settings_on(videos, tmp_path / "runs", **(parts | changes))


def test_every_measurement_says_what_it_began_with(videos: Path, tmp_path: Path) -> None:
    source = write_trained(tmp_path / "source")
    teacher = write_trained(tmp_path / "teacher", classes=tuple(sorted(MOTIONS)))
    family = {"epochs": 1, "teacher": str(teacher)}
    settings = settings_of(videos, tmp_path, weights=str(source), family=family)
    mark = settings.inherited
    assert len(mark) == 8 and len(settings.taught) == 8 and settings.taught != mark
    with session_on(settings, Serial()) as (session, data):
        session._evaluator = video_evaluator(
            data.paths, settings.recipe, weights=str(source), teacher=str(teacher)
        )
        session.search()
        session.confirm()
        (outcome,) = session.train([session.job(SPACE.smallest())])
        assert not outcome.failed, outcome.measurement.reason
        # What was trained before is not trained again, and what had another teacher is another training.
        assert session.train([session.job(SPACE.smallest())])[0].measurement == outcome.measurement
        other = settings.family.model_copy(update={"teacher": None})
        session.settings = settings.model_copy(update={"family": other})
        assert session.job(SPACE.smallest()).folder != outcome.job.folder
        made = session.records.measurements()
    assert {m.purpose for m in made} == {"search", "confirmation", "family"}
    for each in made:
        taught = settings.taught if each.purpose == "family" else ""
        assert (each.fidelity.weights, each.fidelity.teacher) == (mark, taught), each
        assert Fidelity.parse(each.fidelity.key) == each.fidelity
    without = settings.model_copy(update={"weights": None})
    with pytest.raises(SettingsError, match="weights"), session_on(without):
        pass


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_candidates_begin_with_the_first_channels(width: float, videos: Path, tmp_path: Path) -> None:
    source = write_trained(tmp_path / "source")
    settings = settings_of(videos, tmp_path, weights=str(source))
    with session_on(settings) as (_, data):
        spec = video_evaluator(data.paths, settings.recipe, weights=settings.weights)
    evaluator = spec.build()
    assert isinstance(evaluator, VideoEvaluator)
    small = SPACE.smallest()
    clip = small.input
    spent = Fidelity(1, clip.frames, clip.size, width=width, weights=settings.inherited)
    job = Job(small, spent, 0, "search", tmp_path / "job")
    begun = evaluator.training(job, 0).model.state_dict()
    trained, name = build(LARGEST, 7, seed=5).state_dict(), "blocks.block1_layer0.project.weight"
    rows, columns = begun[name].shape[:2]
    assert torch.equal(begun[name], trained[name][:rows, :columns])
    scratch = evaluator.training(replace(job, fidelity=replace(spent, weights="")), 0).model.state_dict()
    assert not torch.equal(scratch[name], begun[name])
    save_weights(build(LARGEST, 7, seed=6), source / "weights.safetensors")
    with pytest.raises(SettingsError, match=r"does not hold the weights that the run was started with"):
        evaluator.training(replace(job, folder=tmp_path / "later"), 0)


def test_settings_hold_the_weights_by_their_content(videos: Path, tmp_path: Path) -> None:
    source = write_trained(tmp_path / "source")
    settings = settings_of(videos, tmp_path, weights=str(source))
    named = settings_of(videos, tmp_path, weights=f"{LARGEST.text}={source / 'weights.safetensors'}")
    assert named.weights == f"{LARGEST.text}={source.absolute() / 'weights.safetensors'}"
    check_settings(settings)
    check_settings(named)
    (tmp_path / "run.yaml").write_text(settings.to_yaml())
    again = load_settings(tmp_path / "run.yaml")
    assert again.identity() == settings.identity() and again.weights == str(source)
    assert settings.identity()["weights"].startswith(settings.inherited)
    assert "weights" not in settings_of(videos, tmp_path).identity()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": "nowhere"}, r"weights: .*nowhere.*no trained network"),
        ({"weights": "A0-base=other"}, r"weights: .*other: there are no weights"),
        ({"weights": "base"}, r"weights: weights of a network with causal False for one with causal True"),
        ({"recipe": {"patience": 3}}, r"recipe\.patience is 3, but a search compares"),
        ({"recipe": {"frozen_trunk_epochs": 1}}, r"frozen_trunk_epochs is 1 for trainings from scratch"),
    ],
)
def test_what_a_run_cannot_begin_with_is_refused(
    changes: dict[str, Any], said: str, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_trained(tmp_path / "base", replace(LARGEST, options=replace(LARGEST.options, causal=False)))
    with pytest.raises(MovinasError, match=said):
        check_settings(settings_of(videos, tmp_path, **changes))


def test_a_teacher_of_other_classes_is_refused(videos: Path, tmp_path: Path) -> None:
    teacher = write_trained(tmp_path / "teacher", classes=("right", "left", "down", "sideways"))
    settings = settings_of(videos, tmp_path, family={"teacher": str(teacher)})
    with pytest.raises(SettingsError, match=r"family\.teacher: .*'sideways' is none of the data's"):
        check_teacher(settings, sorted(MOTIONS))
    with pytest.raises(SettingsError, match=r"family\.teacher: .*4 classes, and the data 3"):
        check_teacher(settings, ["right", "left", "down"])
    check_teacher(settings, ["sideways", "down", "left", "right"])
    check_teacher(settings_of(videos, tmp_path), ["any"])


def test_measurements_with_and_without_weights_are_not_compared() -> None:
    plain, inherited = fidelity(4), replace(fidelity(4), weights="0123abcd")
    assert schedule(plain.key) != schedule(inherited.key)
    metrics = {"top1": 0.5, "top5": 0.9, "loss": 1.0, "macs": 1e6}
    columns = Columns.of([measurement("a", plain, metrics), measurement("b", inherited, metrics)], "search")
    assert len(columns.fidelities) == 2 and len(set(columns.schedule.tolist())) == 2
    words = fidelity_words([plain, inherited])
    assert words[plain.key] == "4 epochs, from scratch" and words[inherited.key].endswith("0123abcd")
    search = measurement("a", inherited, metrics)
    assert searched_words([inherited], [search]) == fidelity_words([inherited])
    supernet = replace(measurement("b", plain, metrics), purpose="supernet")
    assert searched_words([inherited], [supernet, search]) == {inherited.key: "in a supernet of 4 epochs"}
