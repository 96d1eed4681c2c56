"""Recorded searches open, resume, and come out the same, on whatever processor.

The recorded decisions do not hang on the last bits of a sum: they came out the same with OPENBLAS_CORETYPE
at Nehalem, Haswell and SkylakeX, and with numpy's AVX2 and AVX-512 code disabled (NPY_DISABLE_CPU_FEATURES).
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from search_space.errors import SettingsError
from searcher.plan.reproduction import reproduce
from searcher.record.records import Records
from searcher.record.storage import FILE
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings
from tests.searcher.invented import invented
from tests.searcher.searching import plan_over
from tests.searcher.serial import run_serially

RECORDED = Path(__file__).parents[1] / "recorded"
# Strategy, objectives and workers of each: predictor, two, one; tpe, three and a soft constraint, three.
MEASUREMENTS = {"predictor": 70, "tpe": 72}


def unpacked(name: str, tmp_path: Path) -> tuple[Path, Settings]:
    """Return a recorded run's folder and its settings."""
    run = tmp_path / "runs" / "tiny"
    run.mkdir(parents=True)
    (run / FILE).write_bytes(gzip.decompress((RECORDED / name / "record.journal.gz").read_bytes()))
    return run, load_settings(RECORDED / name / "settings.yaml", {"output": str(tmp_path / "runs")})


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_the_same_proposals_and_promotions_come_out(name: str, tmp_path: Path) -> None:
    run, settings = unpacked(name, tmp_path)
    records = Records.reading(run)
    assert len(records.measurements()) == MEASUREMENTS[name]
    assert len(records.candidates()) == 40
    assert reproduce(records, lambda again: plan_over(settings, again)) == []


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_a_recorded_search_resumes_as_if_it_had_never_stopped(name: str, tmp_path: Path) -> None:
    run, settings = unpacked(name, tmp_path)
    longer = settings.model_copy(update={"search": settings.search.model_copy(update={"trials": 44})})
    with Records.writing(run, longer.identity()) as records:
        before = records.measurements()
        # Candidates that were held at the end of the search are closed for good.
        run_serially(plan_over(longer, records), invented(timed=name == "tpe"))
        assert records.measurements()[: MEASUREMENTS[name]] == before
        assert len(records.candidates()) == 44
        assert {candidate.state for candidate in records.candidates()} == {"complete", "pruned"}
    changed = settings.model_copy(update={"seed": 1})
    with (
        pytest.raises(SettingsError, match="seed was 0 and is now 1"),
        Records.writing(run, changed.identity()),
    ):
        pass
