"""A trial is written in few statements, and holds what Optuna's own storage would have written."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event

from searcher.record.bulk_storage import BulkStorage

DIRECTIONS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]


def trials() -> list[FrozenTrial]:
    """A proposal of several kinds of parameters, and a measurement."""
    distributions = {
        **{f"gene{number}": IntDistribution(0, 5) for number in range(60)},
        "kind": CategoricalDistribution(("a", "b")),
        "rate": FloatDistribution(1e-3, 1, log=True),
    }
    params: dict[str, object] = dict.fromkeys(distributions, 3) | {"kind": "b", "rate": 0.25}
    attributes = {"digest": "12", "genotype": [1, 2], "known": 3}
    return [
        create_trial(
            state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=attributes
        ),
        create_trial(state=TrialState.COMPLETE, values=[0.5, 2e6], user_attrs={"metrics": {"top1": 0.5}}),
        create_trial(state=TrialState.FAIL, user_attrs={"reason": "none"}),
    ]


def written(storage: RDBStorage) -> tuple[list[tuple[object, ...]], int]:
    """What a storage tells of the trials, and the statements that writing the first of them took."""
    study = storage.create_new_study(DIRECTIONS, "study")
    statements = list[str]()
    event.listen(storage.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    made = trials()
    storage.create_new_trial(study, made[0])
    count = len(statements)
    for trial in (*made[1:], None):
        storage.create_new_trial(study, trial)
    return [
        (each.number, each.state, each.values, each.params, each.distributions, each.user_attrs)
        for each in storage.get_all_trials(study)
    ], count


def test_it_writes_what_optuna_writes(tmp_path: Path) -> None:
    ours, few = written(BulkStorage(f"sqlite:///{tmp_path}/ours"))
    theirs, many = written(RDBStorage(f"sqlite:///{tmp_path}/theirs"))
    assert ours == theirs and len(ours) == 4
    assert few < 10
    assert many > 60


def test_parameters_are_never_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = BulkStorage(f"sqlite:///{tmp_path}/ours")
    study = storage.create_new_study(DIRECTIONS, "study")
    # As if another version of Optuna prepared trials elsewhere.
    monkeypatch.setattr(BulkStorage, "_get_prepared_new_trial", RDBStorage._get_prepared_new_trial)
    with pytest.raises(AssertionError, match="bulk_storage"):
        storage.create_new_trial(study, trials()[0])
