"""Measurements and candidates as Optuna trials, and the differences of two runs' settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from searcher.record.candidate import Candidate, CandidateState, Decision

STATES: Mapping[TrialState, CandidateState] = {
    TrialState.RUNNING: "open",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
# Optuna has no state for a cancelled trial: an attribute says it.
TRIAL_STATES: Mapping[CandidateState, TrialState] = {
    **{state: trial for trial, state in STATES.items()},
    "cancelled": TrialState.FAIL,
}

_PLACES = ("root", "annotations")


def succeeded(measurement: Measurement) -> bool:
    """Return whether a measurement has metrics."""
    return measurement.status == "complete"


def measurement_trial(measurement: Measurement) -> FrozenTrial:
    """Return a finished Optuna trial that holds the measurement in its user attributes."""
    metrics = {name: float(value) for name, value in measurement.metrics.items()}
    success = succeeded(measurement)
    return create_trial(
        state=TrialState.COMPLETE if success else TrialState.FAIL,
        values=[metrics["top1"], metrics["macs"]] if success else None,
        user_attrs={
            "digest": measurement.digest,
            "architecture": measurement.architecture,
            "fidelity": measurement.fidelity.key,
            "seed": measurement.seed,
            "purpose": measurement.purpose,
            "status": measurement.status,
            "metrics": metrics,
            "seconds": round(measurement.seconds, 3),
            "reason": measurement.reason,
        },
    )


def trial_measurement(trial: FrozenTrial) -> Measurement:
    """Return the measurement that a trial holds; the inverse of ``measurement_trial``."""
    data = trial.user_attrs
    return Measurement(
        digest=data["digest"],
        architecture=data["architecture"],
        fidelity=Fidelity.parse(data["fidelity"]),
        seed=data["seed"],
        purpose=data["purpose"],
        status=data["status"],
        metrics=data["metrics"],
        seconds=data["seconds"],
        reason=data["reason"],
    )


def trial_candidate(trial: FrozenTrial) -> Candidate:
    """Return the candidate that a trial of the search study holds, without its measurements."""
    data = trial.user_attrs
    decisions = {
        int(key.removeprefix("rung ")): attribute_decision(value)
        for key, value in data.items()
        if key.startswith("rung ")
    }
    return Candidate(
        number=trial.number,
        genotype=tuple(data["genotype"]),
        digest=data["digest"],
        architecture=data["architecture"],
        macs=data["macs"],
        state=data.get("state", STATES[trial.state]),
        decisions=decisions,
        measured_before=data.get("known", 0),
        origin=data.get("origin", ""),
        exact=data.get("exact", True),
    )


def candidate_attributes(candidate: Candidate) -> dict[str, Any]:
    """Return the user attributes of a new proposal's trial; the inverse of ``trial_candidate``."""
    attributes: dict[str, Any] = {
        "digest": candidate.digest,
        "architecture": candidate.architecture,
        "macs": candidate.macs,
        "genotype": list(candidate.genotype),
        "known": candidate.measured_before,
    }
    # The trial of any other proposal is as older versions wrote it.
    return attributes | ({"origin": candidate.origin, "exact": candidate.exact} if candidate.origin else {})


def constrain(storage: BaseStorage, study: str, trial_id: int, excess: Mapping[str, float]) -> None:
    """Write soft constraints in Optuna's terms, where 0 or less is feasible.

    Args:
        storage: storage of the record.
        study: name of the study.
        trial_id: trial that is not finished.
        excess: excess of each constraint by its name.
    """
    if excess:
        sampler = optuna.samplers.RandomSampler(seed=0)
        trial = Trial(optuna.load_study(study_name=study, storage=storage, sampler=sampler), trial_id)
        for name, value in excess.items():
            trial.set_constraint(name, value)


def decision_attribute(decision: Decision) -> dict[str, Any]:
    """Return a decision as a user attribute of the candidate's trial."""
    return {
        "goes_on": decision.promoted,
        "reason": decision.reason,
        "later": decision.was_held,
        "known": decision.measured_before,
    }


def attribute_decision(attribute: Mapping[str, Any]) -> Decision:
    """Return the decision that :func:`decision_attribute` described."""
    return Decision(
        attribute["goes_on"], attribute["reason"], attribute.get("later", False), attribute.get("known", 0)
    )


def without_places(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide what measurements mean without the paths of the data."""
    data = {key: value for key, value in identity.get("data", {}).items() if key not in _PLACES}
    return {**identity, "data": data}


def settled(stored: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored identity, its ``auto`` values replaced by those that were planned since."""
    search, known = dict(identity.get("search", {})), stored.get("search", {})
    planned = {key for key, value in known.items() if value == "auto"}
    if not planned:
        return dict(stored)
    # A value that is its default is not named; see ``Settings.identity``.
    kept = {key: value for key, value in known.items() if key not in planned}
    return {**stored, "search": kept | {key: search[key] for key in planned & search.keys()}}


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the differences of two nested mappings, one phrase a key."""
    phrases = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            phrases += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            phrases.append(f"{prefix}{key} was {before!r} and is now {after!r}")
    return phrases
