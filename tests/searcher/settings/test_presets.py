"""The preset that a search begins with when none is named."""

from __future__ import annotations

import pytest

from searcher.settings.reading import load_settings


@pytest.mark.parametrize(
    ("overrides", "preset"),
    [
        ({}, "quickstart"),
        ({"search.trials": 30, "space": "t0-stream", "data.preset": "tiny"}, "quickstart"),
        ({"data": {"kind": "auto", "root": "videos"}}, "trainings"),
        ({"search.rungs": [1, 2]}, "trainings"),
        ({"pilot": {"networks": 3}}, "trainings"),
        ({"hours": 4.0}, "quickstart"),
    ],
)
def test_other_videos_begin_with_trainings(overrides: dict[str, object], preset: str) -> None:
    found, expected = load_settings(None, overrides), load_settings(preset, overrides)
    assert found.identity() == expected.identity() and found.name == expected.name
    with_supernet = preset == "quickstart" and "hours" not in overrides
    assert (found.supernet is not None) == with_supernet and (found.pilot is None) == with_supernet
