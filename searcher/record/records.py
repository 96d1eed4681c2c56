"""The record of a run: every proposal and every measurement, append-only, on Optuna storage.

A run's record is two Optuna studies in a journal file or a database, which any Optuna tool can read. In
``<run>`` a trial is a candidate of the search: its parameters are the genotype, its values the objectives,
its constraints the soft ones. In ``<run>/measurements`` a trial is one measurement, written at once when it
is over, so that it is either whole or not there; their order is the order of completion. The measurements
are the truth: on opening, candidates are brought in line with them. Proposals and decisions say how many
measurements there were at the time, so that a run can be replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Key, Measurement, Purpose
from search_space.errors import RecordError, SettingsError
from searcher.cluster.heartbeat import Channel, FolderChannel, StudyChannel
from searcher.objectives import Objectives
from searcher.record import journal
from searcher.record.candidate import Candidate, CandidateState, Decision
from searcher.record.frame import frame
from searcher.record.lease import Lease
from searcher.record.patience import Patience
from searcher.record.storage import (
    FILE,
    Database,
    DatabaseLock,
    open_database,
    open_journal,
    stored_runs,
    without_password,
)
from searcher.record.trials import (
    TRIAL_STATES,
    decision_attribute,
    differences,
    measurement_trial,
    succeeded,
    trial_candidate,
    trial_measurement,
)

__all__ = ["FILE", "SCHEMA", "Records"]

SCHEMA = 2
"""1 had accuracy and multiply-adds only, no constraints, and no order of proposals among measurements."""


class Records:
    """Everything that a run has proposed and measured. Open it with ``writing`` or ``reading``."""

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        *,
        writable: bool,
        identity: Mapping[str, Any] | None = None,
        patience: Patience | None = None,
        channel: Channel | None = None,
    ) -> None:
        self.storage = storage
        self.name = name
        self._writable = writable
        self._patience = patience or Patience(name)
        if writable:
            self._create(identity or {})
        self._studies = {study: self._study_id(study) for study in (name, f"{name}/measurements")}
        self._check_schema()
        if identity is not None:
            self._check_identity(identity)
        self.channel = channel or StudyChannel(storage, self._studies[name])
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
        patience: float = 0.0,
    ) -> Iterator[Records]:
        """Opens or creates the record of the run in ``run_dir`` and holds its lease.

        Args:
            run_dir: the run's folder; it is created.
            identity: nested settings that decide what the measurements mean; see ``Settings.identity``.
            storage: address of a PostgreSQL database for a new record, or of the one that has this run's,
                with a password if it needs one; by default where the record is, else a journal file in the
                folder.
            patience: seconds that a write waits for a full disk, or for a database that is away.

        Raises:
            RecordError: another driver writes it, or it is damaged, of a newer version, or cannot be reached.
            SettingsError: the run was started with another identity or storage; names what differs.
        """
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"the run folder {run_dir} cannot be created: {error.strerror}", hint="choose another output"
            ) from error
        with ExitStack() as held:
            held.callback(Lease(run_dir).release)
            database = placed(run_dir, storage)
            if database is None:
                file = run_dir / FILE
                journal.repair(file)
                opened = open_journal(file)
                name = _stored_name(opened) or run_dir.name
                wait = Patience(name, patience, mend=lambda: journal.mend(file))
                channel: Channel | None = FolderChannel(run_dir)
            else:
                url, name = storage or database.url, database.study
                lock = held.enter_context(DatabaseLock(database, url))
                opened = open_database(url)
                held.callback(opened.remove_session)
                wait, channel = Patience(name, patience, guard=lock.ensure), None
            yield cls(opened, name, writable=True, identity=identity, patience=wait, channel=channel)

    @classmethod
    def reading(cls, run_dir: Path) -> Records:
        """Opens the record of the run in ``run_dir`` to look at it, while a driver may be writing.

        Raises:
            RecordError: there is none, or it cannot be read.
        """
        database = Database.of(run_dir)
        if database is not None:
            return cls(open_database(database.url), database.study, writable=False)
        path = run_dir / FILE
        if not path.is_file():
            raise RecordError(f"{run_dir} holds no run: there is no {FILE}", hint="give the folder of a run")
        storage = open_journal(path)
        name = _stored_name(storage)
        if name is None:
            raise RecordError(f"{path} holds no run yet", hint="wait until its search has started")
        return cls(storage, name, writable=False, channel=FolderChannel(run_dir))

    @classmethod
    def reading_from(cls, storage: str, name: str) -> Records:
        """Opens the record of the run of that name in a database, without the run's folder.

        Raises:
            RecordError: there is no such run, there are several, or the database cannot be used.
        """
        opened = open_database(storage)
        found = stored_runs(opened, name)
        if len(found) != 1:
            raise RecordError(
                f"{without_password(storage)} holds {len(found)} runs named {name!r}"
                + "".join(f", {each}" for each in found),
                hint="give the folder of the run, or one of these names" if found else "check the name",
            )
        return cls(opened, found[0], writable=False)

    @classmethod
    def in_memory(cls, identity: Mapping[str, Any]) -> Records:
        """A record that is gone with the process: for replays and simulations."""
        return cls(InMemoryStorage(), "memory", writable=True, identity=identity)

    def _create(self, identity: Mapping[str, Any]) -> None:
        """Makes the two studies, and says of what, unless that was done."""
        known = {study.study_name for study in self.storage.get_all_studies()}
        objectives = Objectives.of(identity)
        for study, names in ((f"{self.name}/measurements", ("top1", "macs")), (self.name, objectives.names)):
            if study not in known:
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
        found = self.storage.get_study_user_attrs(self._studies[self.name]).get("schema", SCHEMA)
        if not isinstance(found, int) or not 1 <= found <= SCHEMA:
            raise RecordError(
                f"the record of {self.name!r} has schema {found!r}, this version reads 1 to {SCHEMA}",
                hint="update movinas",
            )

    def _check_identity(self, identity: Mapping[str, Any]) -> None:
        found = differences(self.identity, identity)
        if found:
            raise SettingsError(
                f"the run {self.name!r} was started with other settings: {'; '.join(found)}",
                hint="restore them, or give this run another name",
            )

    @property
    def schema(self) -> int:
        """The version of its format."""
        return int(self.storage.get_study_user_attrs(self._studies[self.name]).get("schema", SCHEMA))

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
        for trial in candidates[1:]:
            if trial.distributions == candidates[0].distributions:
                trial.distributions = candidates[0].distributions
        self._candidates = [trial_candidate(trial) for trial in candidates]
        self._trial_ids = [trial._trial_id for trial in candidates]
        self._by_digest = {candidate.digest: candidate for candidate in self._candidates}
        self._by_key: dict[Key, list[Measurement]] = {}
        self._of_network: dict[str, list[Measurement]] = {}
        for measurement in self._measurements:
            self._add(measurement)

    def _add(self, measurement: Measurement) -> None:
        """Indexes a measurement, and brings the candidate that it measured in line with it."""
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

    def measurements(self, purpose: Purpose | None = None) -> list[Measurement]:
        """All measurements, or those of one purpose, in the order in which they were finished."""
        return [each for each in self._measurements if purpose is None or each.purpose == purpose]

    def of_network(self, digest: str) -> list[Measurement]:
        """All measurements of one network, in the order in which they were finished."""
        return list(self._of_network.get(digest, ()))

    def candidates(self) -> list[Candidate]:
        """All proposals, in the order in which they were made."""
        return list(self._candidates)

    def find(
        self, digest: str, fidelity: Fidelity, seed: int, purpose: Purpose | None = None
    ) -> Measurement | None:
        """The successful measurement of this experiment, asked for by ``purpose`` if that is given."""
        for each in self._by_key.get((digest, fidelity.key, seed), ()):
            if purpose in (None, each.purpose) and succeeded(each):
                return each
        return None

    def frame(self) -> pd.DataFrame:
        """One row a measurement in the order of completion; see ``searcher.record.frame.frame``."""
        return frame(self._measurements, {each.digest: each.state for each in self._candidates})

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
        self._add_trial(f"{self.name}/measurements", trial, len(self._measurements))
        self._measurements.append(measurement)
        self._add(measurement)
        return True

    def _add_trial(self, study: str, trial: FrozenTrial, number: int) -> int:
        """Adds a trial as the ``number``-th of a study; answers its id."""
        study_id = self._studies[study]

        def written() -> int | None:
            trials = self.storage.get_all_trials(study_id, deepcopy=False)
            return trials[number]._trial_id if len(trials) > number else None

        return self._patience.do(lambda: self.storage.create_new_trial(study_id, trial), written)

    def propose(
        self, candidate: Candidate, params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]
    ) -> None:
        """Writes down a proposal before it is tried; its number must be the next one."""
        assert self._writable and candidate.number == len(self._candidates), candidate
        candidate.measured_before = len(self._measurements)
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={
                "digest": candidate.digest,
                "architecture": candidate.architecture,
                "macs": candidate.macs,
                "genotype": list(candidate.genotype),
                "known": candidate.measured_before,
            },
        )
        trial_id = self._add_trial(self.name, trial, candidate.number)
        # A journal makes objects of its own for each gene of each trial: a third of a search's memory.
        self._patience.do(lambda: self.storage.get_trial(trial_id)).distributions = trial.distributions
        self._trial_ids.append(trial_id)
        self._candidates.append(candidate)
        self._by_digest[candidate.digest] = candidate

    def decide(self, number: int, epochs: int, decision: Decision) -> None:
        """Writes down what became of a candidate at a rung, in place of an earlier decision there."""
        decision = replace(decision, measured_before=len(self._measurements))
        key, value = f"rung {epochs}", decision_attribute(decision)
        self._patience.do(lambda: self.storage.set_trial_user_attr(self._trial_ids[number], key, value))
        self._candidates[number].decisions[epochs] = decision

    def close(self, number: int, state: CandidateState) -> None:
        """Ends a candidate for good; its objectives and constraints are those at its highest rung."""
        candidate, trial_id = self._candidates[number], self._trial_ids[number]
        if not self._patience.do(lambda: self.storage.get_trial(trial_id)).state.is_finished():
            self._patience.do(lambda: self._close(candidate, trial_id, state))
            candidate.state = state

    def _close(self, candidate: Candidate, trial_id: int, state: CandidateState) -> None:
        if self.storage.get_trial(trial_id).state.is_finished():
            # An earlier attempt got so far, and did not hear of it.
            return
        values = None
        if state in ("complete", "pruned"):
            values = [float(candidate.latest[metric]) for metric in self.objectives.metrics]
            self._constrain(trial_id, self.objectives.excess(candidate.latest))
        if state == "cancelled":
            self.storage.set_trial_user_attr(trial_id, "state", state)
        self.storage.set_trial_state_values(trial_id, TRIAL_STATES[state], values)

    def _constrain(self, trial_id: int, excess: Mapping[str, float]) -> None:
        """Tells Optuna of soft constraints, in whose terms 0 or less is feasible."""
        if not excess:
            return
        study = optuna.load_study(
            study_name=self.name, storage=self.storage, sampler=optuna.samplers.RandomSampler(seed=0)
        )
        trial = Trial(study, trial_id)
        for name, value in excess.items():
            trial.set_constraint(name, value)


def placed(run_dir: Path, storage: str | None) -> Database | None:
    """Where the record of a run is, or will be; None is a journal in its folder.

    Raises:
        SettingsError: the run has its record somewhere else than ``storage`` says.
    """
    known = Database.of(run_dir)
    if known is None:
        if storage is None:
            return None
        if not (run_dir / FILE).exists():
            return Database.create(run_dir, storage)
    there = str(run_dir / FILE) if known is None else known.url
    if storage is not None and without_password(storage) != there:
        raise SettingsError(
            f"storage is {without_password(storage)}, but this run has its record in {there}",
            hint="restore it, or give this run another name",
        )
    return known


def _stored_name(storage: BaseStorage) -> str | None:
    """The run's name as its journal has it: a folder may be renamed afterwards."""
    names = [study.study_name.removesuffix("/measurements") for study in storage.get_all_studies()]
    return next(iter(names), None)
