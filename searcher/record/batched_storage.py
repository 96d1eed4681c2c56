"""Optuna's storage in a PostgreSQL database, with one round trip for each write of a search.

Optuna writes a trial gene by gene, with three round trips for each: a proposal of sixty genes takes about
200. Here it is one statement, on the connection that holds the run's lock: a driver that has lost it cannot
write.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection

_VALUES = """
INSERT INTO trial_values (trial_id, objective, value, value_type)
SELECT trial_id, objective - 1, value, kind::trialvaluetype
FROM {trial}, unnest(%(values)s::float8[], %(kinds)s::text[]) WITH ORDINALITY AS v (value, kind, objective)
"""
_NEW = f"""
WITH t AS (
  INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete)
  SELECT count(*), %(study)s, %(state)s::trialstate, %(start)s, %(complete)s
  FROM trials WHERE study_id = %(study)s
  RETURNING trial_id
), p AS (
  INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
  SELECT trial_id, name, value, distribution
  FROM t, unnest(%(names)s::text[], %(params)s::float8[], %(distributions)s::text[])
    AS p (name, value, distribution)
), a AS (
  INSERT INTO trial_user_attributes (trial_id, key, value_json)
  SELECT trial_id, key, value FROM t, unnest(%(keys)s::text[], %(texts)s::text[]) AS a (key, value)
), v AS ({_VALUES.format(trial="t")})
SELECT trial_id FROM t
"""
_END = f"""
WITH t AS (
  UPDATE trials SET state = %(state)s::trialstate, datetime_complete = %(complete)s
  WHERE trial_id = %(trial)s AND state IN ('RUNNING', 'WAITING') RETURNING trial_id
), v AS ({_VALUES.format(trial="t")})
SELECT count(*) FROM t
"""
_ATTRIBUTE = """
INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (%(trial)s, %(key)s, %(text)s)
ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
"""


class BatchedStorage(RDBStorage):
    """Optuna's storage for PostgreSQL, whose writes of a search take one statement each.

    It writes the same rows as Optuna, which tests compare.

    Attributes:
        writer: function that returns the connection that holds the run's lock, and raises OSError if it is
            lost; None while Optuna writes.
    """

    writer: Callable[[], Connection] | None = None

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Add a trial with all that it holds; return its number in the database."""
        trial = template_trial
        if self.writer is None or trial is None or trial.system_attrs or trial.intermediate_values:
            return super().create_new_trial(study_id, trial)
        names = list(trial.params)
        given = {
            "study": study_id,
            "state": trial.state.name,
            "start": _stored(trial.datetime_start),
            "complete": _stored(trial.datetime_complete),
            "names": names,
            "params": [
                float(trial.distributions[name].to_internal_repr(trial.params[name])) for name in names
            ],
            "distributions": [distribution_to_json(trial.distributions[name]) for name in names],
            "keys": list(trial.user_attrs),
            "texts": [json.dumps(value) for value in trial.user_attrs.values()],
            **_values(trial.values or ()),
        }
        return int(self._write(_NEW, given).scalar_one())

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """End a trial, or let Optuna change its state."""
        if self.writer is None or not state.is_finished():
            return super().set_trial_state_values(trial_id, state, values)
        given = {"trial": trial_id, "state": state.name, "complete": _stored(datetime.now())}
        return bool(self._write(_END, given | _values(values or ())).scalar_one())

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Replace an attribute of a trial."""
        if self.writer is None:
            super().set_trial_user_attr(trial_id, key, value)
            return
        self._write(_ATTRIBUTE, {"trial": trial_id, "key": key, "text": json.dumps(value)})

    def _write(self, statement: str, given: Mapping[str, Any]) -> Any:
        """Execute a statement, which is a transaction of its own."""
        assert self.writer is not None
        return self.writer().exec_driver_sql(statement, dict(given))


def _stored(moment: datetime | None) -> datetime | None:
    """Return a moment as Optuna stores it, UTC without saying so."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)


def _values(values: Sequence[float]) -> dict[str, list[Any]]:
    """Return values as Optuna stores them, with a word for what a database may not hold."""
    words = {math.inf: "INF_POS", -math.inf: "INF_NEG"}
    return {
        "values": [None if math.isinf(value) else float(value) for value in values],
        "kinds": [words.get(value, "FINITE") for value in values],
    }
