"""What tests share: one torch thread, property tests that draw the same examples every time, and reports
that can be handed from one process to another."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# A shell starts a job in the background with SIGINT ignored, which every process that a test interrupts would
# inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A slow shared machine must not fail a property test, and a failure must come back on the next run.
settings.register_profile("movinas", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("movinas")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that say that they are long first: no process is left alone with one at the end; skip
    what needs a GPU where there is none."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
    on_gpu = [item for item in items if item.get_closest_marker("gpu") is not None]
    # Asking for a GPU takes seconds, and is only worth them for such tests.
    if on_gpu and not torch.cuda.is_available():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="PyTorch finds no CUDA device here"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Captured output as text that can be sent: names of files need not be text."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode("utf-8")) for title, text in report.sections
    ]
    return report
