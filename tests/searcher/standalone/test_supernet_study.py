"""A study of a supernet: networks measured in it beside their own trainings, and what follows from it."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from search_space.errors import RecordError, SettingsError
from search_space.progress import ignore_progress
from searcher.record.records import Records
from searcher.settings.settings import Settings
from searcher.standalone import proxy_validity
from searcher.standalone.proxy_validity import Study, prepare_study
from searcher.standalone.relative_fidelity import RelativeFidelity
from searcher.supernet.supernet_check import check_supernet
from tests.proxy_train.moving_videos import write_motions
from tests.searcher.pilot.on_videos import Serial, settings_on


def in_this_process(*capacity: Any) -> AbstractContextManager[Serial]:
    """Return what stands in for a cluster."""
    return nullcontext(Serial())


def prepare(settings: Settings, seeds: int = 1) -> Study:
    return prepare_study(
        settings,
        RelativeFidelity.parse("supernet"),
        RelativeFidelity(1),
        10,
        seeds=seeds,
        making=ignore_progress,
        preparing=ignore_progress,
    )


def test_networks_are_measured_in_one_supernet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_validity, "Cluster", in_this_process)
    write_motions(tmp_path / "videos", train=4, val=2)
    parts: dict[str, Any] = {
        "pilot": False,
        "search": {"workers": 1},
        "supernet": {"epochs": 2, "networks": 1},
    }
    settings = settings_on(tmp_path / "videos", tmp_path / "runs", **parts)
    study = prepare(settings)
    assert study.cheap.epochs == 2 and study.cheap.text == "supernet"
    found = proxy_validity.proxy_validity(study)
    assert len(found.networks) == 10 and found.failed == () and found.reliabilities[0] is None
    made = Records.reading(study.folder).measurements()
    assert Counter(each.purpose for each in made) == {"supernet": 2, "validity": 20}
    trained = [each for each in made if each.purpose == "supernet"][-1]
    assert trained.fidelity.epochs == 2
    cheap = [each for each in made if each.purpose == "validity" and each.fidelity.weights]
    dear = [each for each in made if each.purpose == "validity" and not each.fidelity.weights]
    assert len(cheap) == len(dear) == 10 and {each.fidelity.epochs for each in cheap} == {2}
    ours = trained.seconds / 10 + sum(each.seconds for each in cheap) / 10
    assert found.saving == pytest.approx(sum(each.seconds for each in dear) / 10 / ours, rel=0.01)
    content = json.loads((study.folder / "validity.json").read_text())
    assert content["cheap"]["shared"] is True and "shared" not in content["dear"]
    # It goes on where it was: nothing is trained or measured again.
    again = proxy_validity.proxy_validity(prepare(settings))
    assert again.networks == found.networks
    assert len(Records.reading(study.folder).measurements()) == len(made)


def test_a_study_that_inherits_other_weights_is_refused(tmp_path: Path) -> None:
    write_motions(tmp_path / "videos", train=4, val=2)
    settings = settings_on(tmp_path / "videos", tmp_path / "runs")
    settings = settings.model_copy(update={"weights": "somewhere"})
    with pytest.raises(SettingsError, match="weights is somewhere in a study of a supernet"):
        prepare(settings)


@pytest.mark.parametrize(
    ("shared", "told", "costs", "refused"),
    [
        (True, 0.4, 0.1, False),
        (True, 0.1, 0.2, True),
        (True, None, 0.2, True),
        (True, -0.1, None, True),
        (False, 0.1, 0.2, False),
    ],
)
def test_a_search_rests_on_no_supernet_that_costs_outdo(
    shared: bool, told: float | None, costs: float | None, refused: bool, tmp_path: Path
) -> None:
    settings = Settings.model_validate({"name": "run", "output": tmp_path, "supernet": {}})
    check_supernet(settings)
    file = tmp_path / "run" / "validity" / "validity.json"
    file.parent.mkdir(parents=True)
    cheap = {"epochs": 2} | ({"shared": True} if shared else {})
    agreements = {"cheap training": {"within": told}, "multiply-adds": {"within": costs}}
    file.write_text(json.dumps({"cheap": cheap, "agreements": agreements}))
    check_supernet(settings.model_copy(update={"supernet": None}))
    if refused:
        with pytest.raises(SettingsError, match=r"validity\.json: among networks of like cost the supernet"):
            check_supernet(settings)
    else:
        check_supernet(settings)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"cheap": 3}', '{"cheap": {"shared": true}}'])
def test_a_damaged_study_is_named(content: str, tmp_path: Path) -> None:
    settings = Settings.model_validate({"name": "run", "output": tmp_path, "supernet": {}})
    file = tmp_path / "run" / "validity" / "validity.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    with pytest.raises(RecordError, match=r"validity\.json"):
        check_supernet(settings)
