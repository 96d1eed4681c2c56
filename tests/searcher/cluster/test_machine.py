"""What a machine offers: CPUs by affinity and quota, and processes that decode."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from search_space.errors import SettingsError
from searcher.cluster import machine


@pytest.mark.parametrize(
    ("limit", "expected", "decoders"), [("150000 100000", 1, 2), ("max 100000", 8, 8), ("nonsense", 8, 8)]
)
def test_a_container_s_quota_counts(
    limit: str, expected: int, decoders: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: limit)
    assert (machine.cpus(), machine.decoders()) == (expected, decoders)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "xla", ""])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    machine.require_device("cpu")
    with pytest.raises(SettingsError, match=f"--device {name}:") as refused:
        machine.require_device(name)
    assert "--device cpu" in refused.value.hint
