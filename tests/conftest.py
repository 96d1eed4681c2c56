"""What every test shares: one torch thread, and property tests that draw the same examples every time."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import torch
from hypothesis import settings

torch.set_num_threads(1)
# A slow shared machine must not fail a property test, and a failure must come back on the next run.
settings.register_profile("movinas", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("movinas")
