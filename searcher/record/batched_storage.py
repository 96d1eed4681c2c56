"""Optuna's storage in a database, which writes a whole trial in a few round trips.

Optuna writes it gene by gene, with three round trips for each: a proposal of sixty genes takes about 200 of
them.
"""

from __future__ import annotations

import json
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial


class BatchedStorage(RDBStorage):
    """Optuna's storage for relational databases, with batched writes of trials that are known as a whole.

    It overrides a method that is Optuna's own: a version without it writes as slowly as ever.
    """

    def _get_prepared_new_trial(self, study_id: int, template_trial: FrozenTrial | None, session: Any) -> Any:
        """Add a trial to the database, within the caller's transaction.

        Args:
            study_id: number of its study, whose row the caller has locked.
            template_trial: content of the trial.
            session: session of SQLAlchemy.
        """
        template = template_trial
        if template is None or template.system_attrs or template.intermediate_values:
            return super()._get_prepared_new_trial(study_id, template, session)
        from optuna.storages._rdb import models

        trial = models.TrialModel(
            study_id=study_id,
            number=None,
            state=template.state,
            datetime_start=template.datetime_start,
            datetime_complete=template.datetime_complete,
        )
        session.add(trial)
        session.flush()
        number = {"trial_id": trial.trial_id}
        for name, value in template.params.items():
            distribution = template.distributions[name]
            session.add(
                models.TrialParamModel(
                    **number,
                    param_name=name,
                    param_value=distribution.to_internal_repr(value),
                    distribution_json=distribution_to_json(distribution),
                )
            )
        for key, value in template.user_attrs.items():
            session.add(models.TrialUserAttributeModel(**number, key=key, value_json=json.dumps(value)))
        for objective, value in enumerate(template.values or ()):
            stored, kind = models.TrialValueModel.value_to_stored_repr(value)
            session.add(models.TrialValueModel(**number, objective=objective, value=stored, value_type=kind))
        trial.number = trial.count_past_trials(session)
        return trial
