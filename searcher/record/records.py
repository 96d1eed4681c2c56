"""The record of a run: every proposal and every measurement, append-only, on Optuna storage.

A run's record is two Optuna studies in a journal file or a database, which any Optuna tool can read. In
``<run>`` a trial is a candidate of the search: its parameters are the genotype, its values the objectives,
its constraints the soft ones. In ``<run>/measurements`` a trial is one measurement, written at once, whole or
not at all, in the order of completion. The measurements are the truth: on opening, candidates are brought in
line with them. Proposals and decisions note the number of measurements then, to reproduce a run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Key, Measurement, Purpose
from search_space.errors import RecordError, SettingsError
from searcher.objectives import Objectives
from searcher.record.batched_storage import BatchedStorage
from searcher.record.candidate import Candidate, CandidateState, Decision
from searcher.record.channel import StudyChannel
from searcher.record.frame import frame
from searcher.record.opening import OpenedRecord, open_by_name, open_for_reading, open_for_writing
from searcher.record.optuna_logging import quiet_optuna
from searcher.record.retrying import Retrying
from searcher.record.seeds import Seeds
from searcher.record.trials import (
    TRIAL_STATES,
    candidate_attributes,
    constrain,
    decision_attribute,
    differences,
    measurement_trial,
    settled,
    succeeded,
    trial_candidate,
    trial_measurement,
    without_places,
)

SCHEMA = 2
"""1 had accuracy and multiply-adds only, no constraints, and no order of proposals among measurements."""


class Records:
    """Everything that a run has proposed and measured; open it with ``writing`` or ``reading``.

    Args:
        opened: storage of the record.
        writable: whether proposals and measurements can be added.
        identity: settings that decide what the measurements mean; they are stored in a new record, and must
            be those of an existing one.

    Raises:
        RecordError: the record is of a newer version, or has no studies yet.
        SettingsError: the run was started with another identity; names what differs.

    Attributes:
        changed: numbers of the candidates that have changed, one for each change, from the first on.
    """

    def __init__(
        self, opened: OpenedRecord, *, writable: bool, identity: Mapping[str, Any] | None = None
    ) -> None:
        self.storage, self.name = opened.storage, opened.name
        self._writable, self._retrying = writable, opened.retrying
        self._write = partial(self._retrying.do, fenced=isinstance(self.storage, BatchedStorage))
        if writable:
            self._create(identity or {})
        self._studies = {study: self._study_id(study) for study in (self.name, f"{self.name}/measurements")}
        self._check_schema()
        if identity is not None:
            self._check_identity(identity)
            if writable:
                self.settle(identity)
        study_id, guard = self._studies[self.name], opened.retrying.guard
        self.channel = opened.channel or StudyChannel(self.storage, study_id, guard)
        self.objectives = Objectives.of(self.identity)
        self._measurements: list[Measurement] = []
        self._candidates: list[Candidate] = []
        self._trial_ids: list[int] = []
        self.refresh()

    @classmethod
    @contextmanager
    def writing(
        cls,
        run_dir: Path,
        identity: Mapping[str, Any],
        storage: str | None = None,
        *,
        retry_seconds: float = 0.0,
        checkpoints: str | None = None,
    ) -> Iterator[Records]:
        """Open or create the record of a run and hold its lease; see ``open_for_writing``.

        Args:
            run_dir: folder of the run; it is created.
            identity: settings that decide what the measurements mean; see ``Settings.identity``.
            storage: address of a database; by default where the record is, or a journal in the folder.
            retry_seconds: seconds for which a write is retried.
            checkpoints: address of the run's checkpoints in an object store, if they are in one.

        Raises:
            RecordError: another driver writes it, or it is damaged, of a newer version, or cannot be reached.
            SettingsError: the run was started with another identity or storage; names what differs.
        """
        with open_for_writing(run_dir, storage, retry_seconds, checkpoints) as opened:
            yield cls(opened, writable=True, identity=identity)

    @classmethod
    def reading(cls, run_dir: Path, storage: str | None = None) -> Records:
        """Open the record of the run in ``run_dir`` to look at it, while a driver may be writing.

        Args:
            run_dir: folder of the run.
            storage: address of its database with a password that is not in PGPASSWORD or ~/.pgpass.

        Raises:
            RecordError: there is none, or it cannot be read.
        """
        return cls(open_for_reading(run_dir, storage), writable=False)

    @classmethod
    def reading_from(cls, storage: str, name: str) -> Records:
        """Open the record of the run of that name in a database, without the run's folder.

        Raises:
            RecordError: there is no such run, there are several, or the database cannot be used.
        """
        return cls(open_by_name(storage, name), writable=False)

    @classmethod
    def in_memory(cls, identity: Mapping[str, Any]) -> Records:
        """Create a record in memory, to reproduce a search."""
        opened = OpenedRecord(InMemoryStorage(), "memory", Retrying("memory"))
        with quiet_optuna():
            return cls(opened, writable=True, identity=identity)

    def _create(self, identity: Mapping[str, Any]) -> None:
        """Create the two studies with their identity, unless they exist."""
        existing, objectives = {s.study_name for s in self.storage.get_all_studies()}, Objectives.of(identity)
        for study, names in ((f"{self.name}/measurements", ("top1", "macs")), (self.name, objectives.names)):
            if study not in existing:
                directions = [StudyDirection.MAXIMIZE] + [StudyDirection.MINIMIZE] * (len(names) - 1)
                study_id = self.storage.create_new_study(directions, study)
                self.storage.set_study_system_attr(study_id, "study:metric_names", list(names))
        study_id = self._study_id(self.name)
        if "schema" not in self.storage.get_study_user_attrs(study_id):
            self.storage.set_study_user_attr(study_id, "identity", dict(identity))
            self.storage.set_study_user_attr(study_id, "schema", SCHEMA)

    def _study_id(self, study: str) -> int:
        try:
            return self.storage.get_study_id_from_name(study)
        except KeyError:
            raise RecordError(
                f"the record holds no study {study!r}", hint="wait until its search has started"
            ) from None

    def _check_schema(self) -> None:
        schema = self.storage.get_study_user_attrs(self._studies[self.name]).get("schema", SCHEMA)
        if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
            raise RecordError(
                f"the record of {self.name!r} has schema {schema!r}, this version reads 1 to {SCHEMA}",
                hint="update movinas",
            )

    def _check_identity(self, identity: Mapping[str, Any]) -> None:
        stored: Mapping[str, Any] = settled(self.identity, identity)
        if self.data is not None:
            # What the videos are is recorded: where they are may change.
            stored, identity = without_places(stored), without_places(identity)
        changes = differences(stored, identity)
        if changes:
            raise SettingsError(
                f"the run {self.name!r} was started with other settings: {'; '.join(changes)}",
                hint="restore them, or give this run another name",
            )

    def settle(self, identity: Mapping[str, Any]) -> None:
        """Take over the identity of settings of which parts were ``auto`` and are planned now.

        Raises:
            SettingsError: something else differs from what the run was started with.
        """
        assert self._writable, "only the driver plans"
        self._check_identity(identity)
        study, planned = self._studies[self.name], settled(self.identity, identity)
        if planned != self.identity:
            self._retrying.do(lambda: self.storage.set_study_user_attr(study, "identity", planned))

    @property
    def data(self) -> Mapping[str, Any] | None:
        """The data that was measured on: ``digest``, ``videos`` by split, ``classes``; None if not known."""
        data = self.storage.get_study_user_attrs(self._studies[self.name]).get("data")
        return data if isinstance(data, dict) else None

    def keep_data(self, data: Mapping[str, Any]) -> None:
        """Record what is measured on; see ``data``."""
        assert self._writable and self.data is None, "a run measures on one data set"
        study, value = self._studies[self.name], dict(data)
        self._retrying.do(lambda: self.storage.set_study_user_attr(study, "data", value))

    @property
    def plan(self) -> Mapping[str, Any] | None:
        """Plan of the run in JSON types, if one was made; see ``keep_plan``."""
        plan = self.storage.get_study_user_attrs(self._studies[self.name]).get("plan")
        return plan if isinstance(plan, dict) else None

    def keep_plan(self, plan: Mapping[str, Any]) -> None:
        """Record the plan of a run, which a resumed run keeps to."""
        assert self._writable and self.plan is None, "a run is planned once"
        study, value = self._studies[self.name], dict(plan)
        self._retrying.do(lambda: self.storage.set_study_user_attr(study, "plan", value))

    @property
    def schema(self) -> int:
        """Version of the record's format."""
        return int(self.storage.get_study_user_attrs(self._studies[self.name]).get("schema", SCHEMA))

    @property
    def identity(self) -> dict[str, Any]:
        """Settings that the run was started with, as far as they decide what its measurements mean."""
        return dict(self.storage.get_study_user_attrs(self._studies[self.name]).get("identity", {}))

    @property
    def seeds(self) -> Seeds | None:
        """What the search begins with; None if that was not decided, as by an older version."""
        stored = self.storage.get_study_user_attrs(self._studies[self.name]).get("seeds")
        return None if stored is None else Seeds.of_attribute(stored)

    # Reading

    def refresh(self) -> None:
        """Read what was written since the record was opened; a writer is always up to date."""
        trials = self.storage.get_all_trials(self._studies[f"{self.name}/measurements"], deepcopy=False)
        self._measurements = [trial_measurement(trial) for trial in trials]
        candidates = self.storage.get_all_trials(self._studies[self.name], deepcopy=False)
        for trial in candidates[1:]:
            if trial.distributions == candidates[0].distributions:
                trial.distributions = candidates[0].distributions
        self._candidates = [trial_candidate(trial) for trial in candidates]
        self._trial_ids = [trial._trial_id for trial in candidates]
        self._closed = {number for number, trial in enumerate(candidates) if trial.state.is_finished()}
        self.changed = list(range(len(candidates)))
        self._by_digest = {candidate.digest: candidate for candidate in self._candidates}
        self._by_key: dict[Key, list[Measurement]] = {}
        self._of_network: dict[str, list[Measurement]] = {}
        for measurement in self._measurements:
            self._add(measurement)

    def _add(self, measurement: Measurement) -> None:
        """Index a measurement and bring the candidate that it measured in line with it."""
        self._by_key.setdefault(measurement.key, []).append(measurement)
        self._of_network.setdefault(measurement.digest, []).append(measurement)
        candidate = self._by_digest.get(measurement.digest)
        if measurement.purpose != "search" or candidate is None:
            return
        if measurement.status in ("failed", "cancelled"):
            candidate.state = "failed" if measurement.status == "failed" else "cancelled"
            candidate.reason = measurement.reason
        elif "top1" in measurement.metrics:
            candidate.metrics[measurement.fidelity.epochs] = measurement.metrics
        self.changed.append(candidate.number)

    def measurements(self, purpose: Purpose | None = None) -> list[Measurement]:
        """Return all measurements, or those of one purpose, in the order of completion."""
        return [m for m in self._measurements if purpose is None or m.purpose == purpose]

    def of_network(self, digest: str) -> list[Measurement]:
        """Return all measurements of one network, in the order of completion."""
        return list(self._of_network.get(digest, ()))

    def candidates(self) -> list[Candidate]:
        """Return all proposals, in the order in which they were made."""
        return list(self._candidates)

    def candidate(self, number: int) -> Candidate:
        """Return one proposal."""
        return self._candidates[number]

    @property
    def digests(self) -> Collection[str]:
        """The digests of all proposals."""
        return self._by_digest.keys()

    def find(
        self, digest: str, fidelity: Fidelity, seed: int, purpose: Purpose | None = None
    ) -> Measurement | None:
        """Return the successful measurement of an experiment, None if there is none.

        Args:
            digest: digest of the architecture.
            fidelity: fidelity of the training.
            seed: seed of the training.
            purpose: part of the run that asked for the measurement; by default any.
        """
        found = (m for m in self._by_key.get((digest, fidelity.key, seed), ()) if succeeded(m))
        return next((m for m in found if purpose in (None, m.purpose)), None)

    def frame(self) -> pd.DataFrame:
        """Return one row a measurement in the order of completion; see ``searcher.record.frame.frame``."""
        return frame(
            self._measurements, {candidate.digest: candidate.state for candidate in self._candidates}
        )

    # Writing

    def append(self, measurement: Measurement) -> bool:
        """Append a measurement; return False if the record already holds this experiment.

        A failure does not prevent a later success of the same experiment.
        """
        assert self._writable, measurement.key
        same = self.find(measurement.digest, measurement.fidelity, measurement.seed, measurement.purpose)
        if same is not None:
            return False
        self._add_trial(f"{self.name}/measurements", measurement_trial(measurement), len(self._measurements))
        self._measurements.append(measurement)
        self._add(measurement)
        return True

    def _add_trial(self, study: str, trial: FrozenTrial, number: int) -> int:
        """Add a trial as the ``number``-th of a study; return its id."""
        study_id = self._studies[study]

        def written_id() -> int | None:
            trials = self.storage.get_all_trials(study_id, deepcopy=False)
            return trials[number]._trial_id if len(trials) > number else None

        return self._write(lambda: self.storage.create_new_trial(study_id, trial), written_id)

    def begin(self, seeds: Seeds) -> None:
        """Record what the search begins with, before its first proposal."""
        assert self._writable and not self._candidates, len(self._candidates)
        study_id, attribute = self._studies[self.name], seeds.to_attribute()
        self._retrying.do(lambda: self.storage.set_study_user_attr(study_id, "seeds", attribute))

    def propose(
        self, candidate: Candidate, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
    ) -> None:
        """Record a proposal before it is trained; its number must be the next one."""
        assert self._writable and candidate.number == len(self._candidates), candidate
        candidate.measured_before = len(self._measurements)
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs=candidate_attributes(candidate),
        )
        trial_id = self._add_trial(self.name, trial, candidate.number)
        if isinstance(self.storage, JournalStorage):
            # It makes objects of its own for each gene of each trial: a third of a search's memory.
            self.storage.get_trial(trial_id).distributions = trial.distributions
        self._trial_ids.append(trial_id)
        self._candidates.append(candidate)
        self._by_digest[candidate.digest] = candidate
        self.changed.append(candidate.number)

    def decide(self, number: int, epochs: int, decision: Decision) -> None:
        """Record the decision about a candidate at a rung, in place of an earlier one."""
        decision = replace(decision, measured_before=len(self._measurements))
        key, value = f"rung {epochs}", decision_attribute(decision)
        self._write(lambda: self.storage.set_trial_user_attr(self._trial_ids[number], key, value))
        self._candidates[number].decisions[epochs] = decision
        self.changed.append(number)

    def close(self, number: int, state: CandidateState) -> None:
        """Record the final state of a candidate; its objectives are those at its highest rung."""
        if number in self._closed:
            return
        candidate, trial_id = self._candidates[number], self._trial_ids[number]
        self._write(
            lambda: self._close(candidate, trial_id, state),
            lambda: self.storage.get_trial(trial_id).state.is_finished() or None,
        )
        self._closed.add(number)
        candidate.state = state
        self.changed.append(number)

    def _close(self, candidate: Candidate, trial_id: int, state: CandidateState) -> bool:
        values = None
        if state in ("complete", "pruned"):
            values = [float(candidate.latest[metric]) for metric in self.objectives.metrics]
            constrain(self.storage, self.name, trial_id, self.objectives.excess(candidate.latest))
        if state == "cancelled":
            self.storage.set_trial_user_attr(trial_id, "state", state)
        self.storage.set_trial_state_values(trial_id, TRIAL_STATES[state], values)
        return True
