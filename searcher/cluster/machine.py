"""What this machine has for a run."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_AUTO_LIMIT = 16
_PREFIX = "movinas-"


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


def temporary_folder(kind: str) -> Path:
    """A new folder of this process's; ``sweep`` removes it should the process be killed."""
    # Sockets live in some, and their paths may have about 100 characters: the usual folder can be too deep.
    parent = Path("/tmp") if os.access("/tmp", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-{os.getpid()}-", dir=parent))


def sweep() -> None:
    """Removes what processes that were killed have left behind."""
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        parts = folder.name.split("-")
        owner = parts[2] if len(parts) > 2 else ""
        if owner.isdigit() and not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
