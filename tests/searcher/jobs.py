"""A small job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy_train.fidelity import Fidelity
from searcher.plan.job import Job
from searcher.testing.domains import SPACE

SMALL = SPACE.smallest()


def job(folder: Path, **changes: Any) -> Job:
    whole = Job(SMALL, Fidelity(4, 4, 16), 0, "search", folder, rungs=(1, 2, 4))
    return Job.from_json(replace(whole, **changes).to_json())
