"""The record of a run: every proposal and every measurement, append-only, on Optuna storage.

A run's record is one journal file with two Optuna studies, which any Optuna tool can read. In ``<run>`` a
trial is a candidate of the search: its parameters are the genotype, its values accuracy and multiply-adds. In
``<run>/measurements`` a trial is one measurement, written in a single line when it is over, so that it is
either whole or not there. The measurements are the truth: on opening, candidates are brought in line with
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Key, Measurement, Purpose
from search_space.errors import RecordError, SettingsError
from searcher import journal
from searcher.candidate import Candidate, CandidateState, Decision
from searcher.lease import Lease
from searcher.record_format import (
    TRIAL_STATES,
    differences,
    measurement_trial,
    succeeded,
    trial_candidate,
    trial_measurement,
)

SCHEMA = 1
FILE = "record.journal"
_DIRECTIONS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]


class Records:
    """Everything that a run has proposed and measured. Open it with ``writing`` or ``reading``."""

    def __init__(self, storage: BaseStorage, name: str, *, writable: bool) -> None:
        self.storage = storage
        self.name = name
        self._writable = writable
        self._studies = {study: self._study_id(study) for study in (name, f"{name}/measurements")}
        self._measurements: list[Measurement] = []
        self._candidates: list[Candidate] = []
        self._trial_ids: list[int] = []
        self.refresh()

    @classmethod
    @contextmanager
    def writing(cls, run_dir: Path, identity: Mapping[str, Any]) -> Iterator[Records]:
        """Opens or creates the record of the run in ``run_dir`` and holds its lease.

        Args:
            run_dir: the run's folder; it is created.
            identity: nested settings that decide what the measurements mean; see ``Settings.identity``.

        Raises:
            RecordError: another driver writes it, or it is damaged or of a newer version.
            SettingsError: the run was started with another identity; names what differs.
        """
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"the run folder {run_dir} cannot be created: {error.strerror}", hint="choose another output"
            ) from error
        lease = Lease(run_dir)
        try:
            journal.repair(run_dir / FILE)
            storage = _open_journal(run_dir / FILE)
            records = cls(storage, _stored_name(storage) or run_dir.name, writable=True)
            records._check_identity(identity)
            yield records
        finally:
            lease.release()

    @classmethod
    def reading(cls, run_dir: Path) -> Records:
        """Opens the record of the run in ``run_dir`` to look at it, while a driver may be writing.

        Raises:
            RecordError: there is none, or it cannot be read.
        """
        path = run_dir / FILE
        if not path.is_file():
            raise RecordError(f"{run_dir} holds no run: there is no {FILE}", hint="give the folder of a run")
        storage = _open_journal(path)
        name = _stored_name(storage)
        if name is None:
            raise RecordError(f"{path} holds no run yet", hint="wait until its search has started")
        return cls(storage, name, writable=False)

    def _study_id(self, study: str) -> int:
        try:
            return self.storage.get_study_id_from_name(study)
        except KeyError:
            if not self._writable:
                raise RecordError(
                    f"the record holds no study {study!r}", hint="wait until its search has started"
                ) from None
            return self.storage.create_new_study(_DIRECTIONS, study)

    def _check_identity(self, identity: Mapping[str, Any]) -> None:
        study_id = self._studies[self.name]
        attributes = self.storage.get_study_user_attrs(study_id)
        if "schema" not in attributes:
            self.storage.set_study_user_attr(study_id, "identity", dict(identity))
            self.storage.set_study_user_attr(study_id, "schema", SCHEMA)
            return
        if attributes["schema"] > SCHEMA:
            raise RecordError(
                f"the record has schema {attributes['schema']}, this version knows {SCHEMA}",
                hint="update movinas",
            )
        found = differences(attributes["identity"], identity)
        if found:
            raise SettingsError(
                f"the run {self.name!r} was started with other settings: {'; '.join(found)}",
                hint="restore them, or give this run another name",
            )

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that the run was started with, as far as they decide what it measures."""
        stored = self.storage.get_study_user_attrs(self._studies[self.name]).get("identity", {})
        return dict(stored)

    # Reading

    def refresh(self) -> None:
        """Reads what was written since; a writer is always up to date."""
        trials = self.storage.get_all_trials(self._studies[f"{self.name}/measurements"], deepcopy=False)
        self._measurements = [trial_measurement(trial) for trial in trials]
        candidates = self.storage.get_all_trials(self._studies[self.name], deepcopy=False)
        self._candidates = [trial_candidate(trial) for trial in candidates]
        self._trial_ids = [trial._trial_id for trial in candidates]
        self._by_digest = {candidate.digest: candidate for candidate in self._candidates}
        self._by_key: dict[Key, list[Measurement]] = {}
        for measurement in self._measurements:
            self._add(measurement)

    def _add(self, measurement: Measurement) -> None:
        """Indexes a measurement, and brings the candidate that it measured in line with it."""
        self._by_key.setdefault(measurement.key, []).append(measurement)
        candidate = self._by_digest.get(measurement.digest)
        if measurement.purpose != "search" or candidate is None:
            return
        if measurement.status == "failed":
            candidate.state, candidate.reason = "failed", measurement.reason
        elif "top1" in measurement.metrics:
            candidate.results[measurement.fidelity.epochs] = measurement.metrics["top1"]

    def measurements(self, purpose: Purpose | None = None) -> list[Measurement]:
        """All measurements, or those of one purpose, in the order in which they were finished."""
        return [each for each in self._measurements if purpose is None or each.purpose == purpose]

    def candidates(self) -> list[Candidate]:
        """All proposals, in the order in which they were made."""
        return list(self._candidates)

    def find(
        self, digest: str, fidelity: Fidelity, seed: int, purpose: Purpose | None = None
    ) -> Measurement | None:
        """The successful measurement of this experiment, asked for by ``purpose`` if that is given."""
        for each in self._measurements:
            if (
                each.key == (digest, fidelity.key, seed)
                and purpose in (None, each.purpose)
                and succeeded(each)
            ):
                return each
        return None

    def frame(self) -> pd.DataFrame:
        """One row a measurement in the order of completion, metrics as columns."""
        columns = [
            "number",
            "digest",
            "architecture",
            "purpose",
            "epochs",
            "frames",
            "size",
            "share",
            "seed",
            "status",
        ]
        metrics = ["top1", "top5", "loss", "macs", "parameters", "state_bytes", "activation_bytes"]
        rows = []
        for number, each in enumerate(self._measurements):
            row = {
                name: getattr(each, name) for name in ("digest", "architecture", "purpose", "seed", "status")
            }
            row |= {name: getattr(each.fidelity, name) for name in ("epochs", "frames", "size", "share")}
            row |= {**each.metrics, "number": number, "seconds": each.seconds, "reason": each.reason}
            rows.append(row)
        extra = sorted({name for each in self._measurements for name in each.metrics} - set(metrics))
        return pd.DataFrame(rows, columns=[*columns, *metrics, *extra, "seconds", "reason"])

    # Writing

    def append(self, measurement: Measurement) -> bool:
        """Adds a measurement for good, or answers False if this experiment is already in the record.

        A failure does not stand in the way of a later success at the same key.
        """
        assert self._writable, measurement.key
        known = self.find(measurement.digest, measurement.fidelity, measurement.seed, measurement.purpose)
        if known is not None:
            return False
        trial = measurement_trial(measurement)
        self.storage.create_new_trial(self._studies[f"{self.name}/measurements"], template_trial=trial)
        self._measurements.append(measurement)
        self._add(measurement)
        return True

    def propose(
        self, candidate: Candidate, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
    ) -> None:
        """Writes down a proposal before it is tried; its number must be the next one."""
        assert self._writable and candidate.number == len(self._candidates), candidate
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={
                "digest": candidate.digest,
                "architecture": candidate.architecture,
                "macs": candidate.macs,
                "genotype": list(candidate.genotype),
            },
        )
        self._trial_ids.append(self.storage.create_new_trial(self._studies[self.name], template_trial=trial))
        self._candidates.append(candidate)
        self._by_digest[candidate.digest] = candidate

    def decide(self, number: int, epochs: int, decision: Decision) -> None:
        """Writes down what became of a candidate at a rung, in place of an earlier decision there."""
        value = {"goes_on": decision.goes_on, "reason": decision.reason}
        self.storage.set_trial_user_attr(self._trial_ids[number], f"rung {epochs}", value)
        self._candidates[number].decisions[epochs] = decision

    def close(self, number: int, state: CandidateState) -> None:
        """Ends a candidate as ``complete``, ``pruned`` or ``failed``, for good."""
        candidate = self._candidates[number]
        trial_id = self._trial_ids[number]
        if self.storage.get_trial(trial_id).state.is_finished():
            return
        accuracy = candidate.accuracy
        values = None if state == "failed" or accuracy is None else [accuracy, float(candidate.macs)]
        self.storage.set_trial_state_values(trial_id, TRIAL_STATES[state], values)
        candidate.state = state


def _open_journal(path: Path) -> JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if path.exists():
            journal.check(path)
        return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    except OSError as error:
        raise RecordError(
            f"{path} cannot be opened: {error.strerror}", hint="check its permissions"
        ) from error


def _stored_name(storage: BaseStorage) -> str | None:
    """The run's name as its journal has it: a folder may be renamed afterwards."""
    names = [study.study_name for study in storage.get_all_studies()]
    return next((name for name in names if f"{name}/measurements" in names), next(iter(names), None))
