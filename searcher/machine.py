"""What this machine has for a run."""

from __future__ import annotations

import os
from pathlib import Path

_AUTO_LIMIT = 16


def cpus() -> int:
    """CPUs that this process may use: its affinity, and the quota of its container if there is one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return allowed
    if not (quota.isdigit() and period.isdigit()):
        return allowed
    return max(1, min(allowed, int(quota) // int(period)))


def auto_workers(cpus_per_trial: int, trials: int) -> int:
    """How many workers ``auto`` is: as many as fit, no more than there is work for."""
    return max(1, min(cpus() // cpus_per_trial, trials, _AUTO_LIMIT))


def writable(folder: Path) -> bool:
    """Whether ``folder`` is one that can be written, or can be created."""
    folder = folder.absolute()
    for existing in (folder, *folder.parents):
        if existing.exists():
            return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    return False


def device(gpus_per_trial: float) -> str:
    """Where trainings that ask for so many GPUs compute, as torch names it."""
    return "cuda" if gpus_per_trial else "cpu"


def own_device(gpus_per_trial: float) -> str:
    """Where this process computes: a cluster's driver need not have the GPUs that its workers have."""
    import torch

    return device(gpus_per_trial) if torch.cuda.is_available() else "cpu"
