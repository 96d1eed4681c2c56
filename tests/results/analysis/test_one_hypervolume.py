"""The live panel, the status and the report of a run say the same hypervolume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from results.analysis.hypervolume import hypervolume_history
from searcher.record.records import Records
from searcher.run.overview import overview
from tests.searcher.invented import invented
from tests.searcher.searching import THREE, finished, search

FOUR: dict[str, Any] = {"objectives": ["accuracy", "macs", "latency", "state_bytes"]}


@pytest.mark.parametrize("changes", [{}, {"macs": {"low": 2e5, "high": 2e6}}, THREE, FOUR])
def test_panel_status_and_report_agree(changes: dict[str, Any], tmp_path: Path) -> None:
    finished(tmp_path, invented(timed=True), **changes)
    with search(tmp_path, **changes) as plan:
        panel = plan.progress().hypervolume
    run = tmp_path / "tiny"
    records = Records.reading(run)
    history = hypervolume_history(
        records.measurements(),
        objectives=records.objectives.names,
        constraints=records.objectives.constraints,
    )
    assert 0 < panel < 1
    assert overview(run).hypervolume == pytest.approx(panel, abs=1e-12)
    assert history.hypervolume[-1] == pytest.approx(panel, abs=1e-12)
