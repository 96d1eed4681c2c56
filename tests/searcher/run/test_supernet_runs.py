"""Runs by a supernet: one training of shared weights, candidates measured with them, others that begin so."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement, Purpose
from proxy_train.supernet.training import SupernetTraining
from proxy_train.supernet.tunas import CONTROLLER
from results.analysis.learning_curves import learning_curves
from search_space.errors import MovinasError, RecordError, SettingsError
from search_space.network.model import build
from search_space.network.weights import save_weights
from search_space.supernet.supernet import Supernet
from searcher.evaluator.run_data import RunData
from searcher.evaluator.shared_weights import digest_of
from searcher.evaluator.video_evaluator import VideoEvaluator, video_evaluator
from searcher.evaluator.watched import watched_metric
from searcher.plan.job import Job
from searcher.run.session import Session
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings
from searcher.supernet.supernet_check import require_learnt
from searcher.supernet.supernet_job import read_policy, supernet_job, supernet_spec
from searcher.testing.domains import SPACE
from tests.proxy_train.moving_videos import write_motions
from tests.searcher.pilot.on_videos import Serial, session_on, settings_on


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "videos"
    write_motions(folder, train=4, val=2)
    return folder


def settings_of(videos: Path, tmp_path: Path, **changes: Any) -> Settings:
    parts: dict[str, Any] = {
        "pilot": False,
        "search": {"trials": 6, "startup": 4, "workers": 1, "seeds": []},
        "supernet": {"epochs": 2, "networks": 1, "fine_tuning_rate": 0.7},
        "confirmation": {"epochs": 1, "seeds": 1, "members": 2},
        "family": {"epochs": 1},
    }
    return settings_on(videos, tmp_path / "runs", **(parts | changes))


def use_evaluator(session: Session, data: RunData) -> None:
    settings = session.settings
    spec = supernet_spec(settings, session.space.classes)
    session._evaluator = video_evaluator(data.paths, settings.recipe, weights=settings.weights, supernet=spec)


def evaluator_of(session: Session, data: RunData, processes: int = 1) -> VideoEvaluator:
    settings = session.settings
    spec = supernet_spec(settings, session.space.classes)
    made = video_evaluator(data.paths, settings.recipe, supernet=spec, processes=processes).build()
    assert isinstance(made, VideoEvaluator)
    return made


def test_a_run_trains_shared_weights_once_and_measures_with_them(videos: Path, tmp_path: Path) -> None:
    settings = settings_of(videos, tmp_path)
    assert [rung.epochs for rung in settings.search.rungs] == [2] and settings.pilot is None
    with session_on(settings, Serial()) as (session, data):
        use_evaluator(session, data)
        session.search()
        confirmed = session.confirm()
        (outcome,) = session.train([session.job(SPACE.smallest())])
        assert not outcome.failed, outcome.measurement.reason
        weights = supernet_job(settings, session.space).weights
        mark, before = digest_of(weights), weights.stat().st_mtime_ns
        counts = Counter(each.purpose for each in session.records.measurements())
        assert (counts["supernet"], counts["search"], counts["family"]) == (2, 6, 1)
        assert confirmed and counts["confirmation"] == 2
        epochs = [each.fidelity.epochs for each in session.records.measurements("supernet")]
        assert epochs == [1, 2], "epochs are in the record, for the curves of the watched networks"
        for each in session.records.measurements():
            assert each.status == "complete", each
            assert each.fidelity.weights == ("" if each.purpose == "supernet" else mark), each
            assert each.purpose == "supernet" or each.fidelity.epochs == (
                2 if each.purpose == "search" else 1
            )
        curves = learning_curves(session.records.measurements())
        assert curves.shared and [curve.name for curve in curves.front] == ["smallest", "middle", "largest"]
        evaluator = evaluator_of(session, data)
        supernet = evaluator.training(supernet_job(settings, session.space), 0)
        assert isinstance(supernet, SupernetTraining)
        for curve in curves.front[:2]:
            network = supernet.watched[curve.name]
            assert curve.epochs == (1, 2)
            assert curve.accuracies[-1] == supernet.evaluate(network).top1
        rate = settings.recipe.learning_rate
        assert outcome.job.recipe is not None
        assert outcome.job.recipe["learning_rate"] == pytest.approx(0.7 * rate)
        candidate = session.records.candidates()[0]
    with session_on(settings, Serial()) as (session, data):
        use_evaluator(session, data)
        session.search()
        assert Counter(each.purpose for each in session.records.measurements()) == counts
        assert weights.stat().st_mtime_ns == before
        # What a candidate got is what the shared weights give.
        evaluator = evaluator_of(session, data)
        measured = session.records.measurements("search")[0]
        architecture = session.space.decode(candidate.genotype)
        job = Job(architecture, measured.fidelity, 0, "search", tmp_path / "job")
        (result,) = evaluator(job)
        assert result.metrics is not None
        assert result.metrics["top1"] == measured.metrics["top1"]
        assert result.metrics["loss"] == pytest.approx(measured.metrics["loss"], abs=1e-6)


def test_trainings_begin_with_the_shared_weights_or_at_random(videos: Path, tmp_path: Path) -> None:
    settings = settings_of(videos, tmp_path, family={"epochs": 1, "inherit": False})
    with session_on(settings, Serial()) as (session, data):
        use_evaluator(session, data)
        session.train_supernet()
        evaluator, small = evaluator_of(session, data), SPACE.smallest()
        weights = supernet_job(settings, session.space).weights
        supernet = Supernet(session.space, 4, kernels="cropped")
        supernet.load_state_dict(load_file(weights))
        expected = supernet.extract(small)
        begun = evaluator.training(session.job(small, purpose="confirmation", seed=3), 0).model
        for name, value in expected.named_parameters():
            assert torch.equal(begun.state_dict()[name], value), name
        alone = session.job(small)
        assert alone.fidelity.weights == "" and alone.recipe is None
        scratch = evaluator.training(alone, 0).model.state_dict()
        name = "head.hidden.weight"
        assert not torch.equal(scratch[name], expected.state_dict()[name])
        # A scaled network need not be in the space.
        outside = replace(small, hidden=small.hidden + 8)
        assert session.job(outside, purpose="confirmation").fidelity.weights == ""


def test_shared_weights_begin_with_those_of_a_network(videos: Path, tmp_path: Path) -> None:
    source = tmp_path / "largest.safetensors"
    trained = build(SPACE.largest(), 4, seed=5)
    save_weights(trained, source)
    settings = settings_of(videos, tmp_path, weights=f"{SPACE.largest().text}={source}")
    with session_on(settings, Serial()) as (session, data):
        job = supernet_job(settings, session.space)
        assert job.fidelity.weights == settings.inherited
        spec = supernet_spec(settings, session.space.classes)
        evaluator = video_evaluator(
            data.paths, settings.recipe, weights=settings.weights, supernet=spec
        ).build()
        assert isinstance(evaluator, VideoEvaluator)
        begun = evaluator.training(job, 0).model
        assert isinstance(begun, Supernet)
        for name, value in begun.extract(session.space.largest()).named_parameters():
            assert torch.equal(value, trained.state_dict()[name]), name


def test_lost_or_changed_weights_are_named(videos: Path, tmp_path: Path) -> None:
    settings = settings_of(videos, tmp_path)
    with session_on(settings, Serial()) as (session, data):
        small = SPACE.smallest()
        clip = small.input
        fidelity = Fidelity(2, clip.frames, clip.size, weights="0123abcd")
        job = Job(small, fidelity, 0, "search", tmp_path / "job")
        with pytest.raises(RecordError, match=r"weights\.safetensors: the supernet's weights .*0123abcd"):
            list(evaluator_of(session, data)(job))
        use_evaluator(session, data)
        session.train_supernet()
        with pytest.raises(RecordError, match=r"digest 0123abcd"):
            list(evaluator_of(session, data)(job))


def test_several_processes_train_shared_weights(videos: Path, tmp_path: Path) -> None:
    settings = settings_of(videos, tmp_path, supernet={"epochs": 1, "networks": 1, "alone": 0})
    with session_on(settings, Serial()) as (session, data):
        job = supernet_job(settings, session.space)
        results = list(evaluator_of(session, data, processes=2)(job))
        assert [result.epoch for result in results] == [1]
        alone = replace(job, folder=tmp_path / "alone")
        list(evaluator_of(session, data)(alone))
        # The sums of two processes are those of one, but for the statistics of halved batches.
        one, two = load_file(alone.weights), load_file(job.weights)
        begun = Supernet(session.space, 4, kernels="cropped", seed=job.seed).state_dict()
        name = "head.classifier.bias"
        moved, together = one[name] - begun[name], two[name] - begun[name]
        assert torch.dot(moved, together) > 0.5 * moved.norm() * together.norm() > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search": {"rungs": [2, 4]}}, "a supernet measures candidates once: leave search.rungs out"),
        ({"search": {"repeats": 2}}, "with the same weights: leave search.repeats out"),
        ({"pilot": {"networks": 3}}, "a pilot trains single networks: leave it out"),
        ({"hours": 2}, "hours plans short trainings"),
        ({"search": {"strategy": "tunas"}}, "strategy tunas and supernet.target belong together"),
        ({"supernet": {"target": 1e6}}, "strategy tunas and supernet.target belong together"),
        (
            {"search": {"strategy": "tunas"}, "supernet": None},
            "strategy tunas needs a supernet with a target",
        ),
        ({"supernet": {"epochs": 0}}, "supernet.epochs"),
        ({"supernet": {"kernel": "own"}}, "kernel: there is no such setting"),
    ],
)
def test_what_a_supernet_does_not_know_is_refused(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps({"supernet": {}, "search": {}} | changes))
    with pytest.raises(MovinasError, match=said):
        load_settings(file)


def test_the_supernet_is_part_of_what_a_run_is(videos: Path, tmp_path: Path) -> None:
    settings = settings_of(videos, tmp_path)
    (tmp_path / "run.yaml").write_text(settings.to_yaml())
    assert load_settings(tmp_path / "run.yaml").identity() == settings.identity()
    assert settings.identity()["supernet"]["epochs"] == 2
    assert "supernet" not in settings_on(videos, tmp_path / "runs").identity()
    with session_on(settings, Serial()):
        pass
    other = settings_of(videos, tmp_path, supernet={"epochs": 3, "networks": 1})
    with pytest.raises(SettingsError, match="supernet"), session_on(other):
        pass


def measured(accuracy: float, purpose: Purpose, watched: float | None = None) -> Measurement:
    """Return a measurement of the smallest network, and of one that was watched."""
    small = SPACE.smallest()
    costs = {"macs": 1e5, "parameters": 1e4, "state_bytes": 1e3, "activation_bytes": 1e3}
    metrics = {"top1": accuracy, "top5": accuracy, "loss": 1.0, **costs}
    metrics |= {} if watched is None else {watched_metric("smallest"): watched}
    return Measurement(small.digest, small.text, Fidelity(2, 8, 16), 0, purpose, "complete", metrics)


@pytest.mark.parametrize(
    ("largest", "smallest", "candidates", "said"),
    [
        (
            0.25,
            None,
            [],
            r"learnt nothing: .* the best reaches 25\.0%, chance",
        ),
        (0.1, 0.25, [], r"learnt nothing: .* the best reaches 25\.0%, chance"),
        (0.9, 0.2, [0.9, 0.25, 0.25], r"of 3 candidates only 1 do better in the supernet than chance"),
        (0.9, None, [0.9, 0.8, 0.25], ""),
        (0.9, 0.25, [], ""),
        (0.25, 0.9, [], ""),
    ],
)
def test_a_run_goes_on_only_with_weights_that_have_learnt(
    largest: float, smallest: float | None, candidates: list[float], said: str, tmp_path: Path
) -> None:
    write_motions(tmp_path / "videos", train=2, val=16)
    with session_on(settings_of(tmp_path / "videos", tmp_path)) as (session, data):
        found: list[tuple[Purpose, float]] = [("supernet", largest)]
        found += [("search", accuracy) for accuracy in candidates]
        for seed, (purpose, accuracy) in enumerate(found):
            watched = smallest if purpose == "supernet" else None
            session.records.append(replace(measured(accuracy, purpose, watched), seed=seed))
        if said:
            with pytest.raises(SettingsError, match=said):
                require_learnt(session.records, data.largest_store)
        else:
            require_learnt(session.records, data.largest_store)


def test_few_clips_tell_nothing(videos: Path, tmp_path: Path) -> None:
    with session_on(settings_of(videos, tmp_path)) as (session, data):
        session.records.append(measured(0.25, "supernet"))
        require_learnt(session.records, data.largest_store)


def test_tunas_proposes_what_its_controller_has_learnt(videos: Path, tmp_path: Path) -> None:
    target = 0.5 * sum(SPACE.macs_range())
    settings = settings_of(
        videos,
        tmp_path,
        search={"strategy": "tunas", "trials": 4, "workers": 1, "seeds": [], "startup": 2},
        supernet={"epochs": 4, "target": target, "controller_rate": 0.5},
    )
    with session_on(settings, Serial()) as (session, data):
        use_evaluator(session, data)
        session.search()
        job = supernet_job(settings, session.space)
        written = json.loads((job.folder / CONTROLLER).read_text())
        candidates = session.records.candidates()
        assert candidates[0].architecture == written["architecture"]
        curves = learning_curves(session.records.measurements()).front
        assert [curve.name for curve in curves] == ["smallest", "middle", "largest", "most probable"]
        assert len({each.digest for each in candidates}) == 4
        policy = read_policy(job, session.space)
        assert policy == written["policy"] and any(max(row) - min(row) > 1e-3 for row in policy)
        for damage in ("{}", '{"policy": [[1.0]], "genes": []}'):
            (job.folder / CONTROLLER).write_text(damage)
            with pytest.raises(RecordError, match=r"controller\.json: not the policy of this space"):
                read_policy(job, session.space)
