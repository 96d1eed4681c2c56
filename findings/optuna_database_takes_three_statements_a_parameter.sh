#!/usr/bin/env bash
# A whole trial that is given to Optuna's database storage at once is written parameter by parameter.
#
# optuna 5.0.0, SQLAlchemy 2.1.9. `RDBStorage.create_new_trial(study, template)` gets a finished trial with all of
# its parameters. It could be two statements; it is a SELECT of the trial, a SELECT of other trials'
# distributions and an INSERT for each parameter, one after another, so that a trial of 60 parameters takes 187
# round trips to the database: 0.2 s at 1 ms each.
#
# Expected: the number of statements does not grow with the number of parameters.
# Seen: three more for each of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet optuna==5.0.0 SQLAlchemy==2.1.9
cat > "$folder/count.py" <<'PYTHON'
import optuna
from optuna.distributions import FloatDistribution
from optuna.storages import RDBStorage
from optuna.trial import create_trial
from sqlalchemy import event

optuna.logging.set_verbosity(optuna.logging.ERROR)


def statements(parameters: int) -> int:
    storage = RDBStorage("sqlite://")
    study = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "study")
    seen: list[str] = []
    event.listen(storage.engine, "before_cursor_execute", lambda c, u, text, *rest: seen.append(text))
    names = [f"x{number}" for number in range(parameters)]
    trial = create_trial(
        value=1.0, params=dict.fromkeys(names, 0.5), distributions={n: FloatDistribution(0, 1) for n in names}
    )
    storage.create_new_trial(study, trial)
    return len(seen)


few, many = statements(10), statements(60)
print(f"statements for 10 parameters: {few}, for 60: {many}, for each more: {(many - few) / 50:g}")
assert many - few == 3 * 50, "this has changed"
PYTHON
"$folder/venv/bin/python" "$folder/count.py"
