"""Optuna's storage in a database, with a trial's parameters and attributes written by one statement each.

Optuna asks the database about every parameter of a new trial first, whether another trial's has another
distribution: two statements a gene, sixty genes a proposal. Here one driver writes, and all trials of a study
have the same distributions.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import insert


class BulkStorage(RDBStorage):
    """The storage; its parameters are those of ``RDBStorage``, and so is all that it writes."""

    _whole: FrozenTrial | None = None
    _prepared = False
    _known: dict[str, tuple[BaseDistribution, str]] | None = None

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Write a trial in one transaction; return its id."""
        if template_trial is None:
            return super().create_new_trial(study_id)
        light = copy.copy(template_trial)
        light.params, light.distributions, light.user_attrs = {}, {}, {}
        self._whole, self._prepared = template_trial, False
        try:
            trial_id = super().create_new_trial(study_id, light)
        finally:
            self._whole = None
        # Another version of Optuna might prepare trials elsewhere, and write none of their parameters.
        assert self._prepared, "see movinas.searcher.record.bulk_storage"
        return trial_id

    def _get_prepared_new_trial(self, study_id: int, template_trial: FrozenTrial | None, session: Any) -> Any:
        """Prepare a trial within the transaction; called by Optuna, again if it retries."""
        trial, whole = super()._get_prepared_new_trial(study_id, template_trial, session), self._whole
        if whole is None:
            return trial
        session.flush()
        params = [
            {
                "trial_id": trial.trial_id,
                "param_name": name,
                "param_value": whole.distributions[name].to_internal_repr(value),
                "distribution_json": self._json(name, whole.distributions[name]),
            }
            for name, value in whole.params.items()
        ]
        attributes = [
            {"trial_id": trial.trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in whole.user_attrs.items()
        ]
        for model, rows in ((models.TrialParamModel, params), (models.TrialUserAttributeModel, attributes)):
            if rows:
                session.execute(insert(model), rows)
        self._prepared = True
        return trial

    def _json(self, name: str, distribution: BaseDistribution) -> str:
        """Return a distribution as JSON, made once as long as a parameter keeps its distribution."""
        self._known = self._known or {}
        known = self._known.get(name)
        if known is None or known[0] is not distribution:
            known = self._known[name] = distribution, distribution_to_json(distribution)
        return known[1]
