"""The CPUs, devices and folders of this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from search_space.errors import SettingsError

_AUTO_LIMIT = 16
_PREFIX = "movinas-"


def cpus() -> int:
    """Return the number of CPUs that this process may use, by its affinity and its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return allowed
    if not (quota.isdigit() and period.isdigit()):
        return allowed
    return max(1, min(allowed, int(quota) // int(period)))


def decoders() -> int:
    """Return the number of processes that decode videos: two or more, so that none of them is this one.

    A damaged file can end a decoder's process; it is named then, and the others are decoded.
    """
    return max(2, cpus())


def auto_workers(cpus_per_trial: int, trials: int) -> int:
    """Return the number of workers that ``auto`` stands for: as many as fit, but no more than trials."""
    return max(1, min(cpus() // cpus_per_trial, trials, _AUTO_LIMIT))


def requested_device(gpus_per_trial: float) -> str:
    """Return torch's name of the device that trainings request, which this machine need not have.

    Args:
        gpus_per_trial: GPUs of each training, 0 for none.
    """
    return "cuda" if gpus_per_trial else "cpu"


def local_device(gpus_per_trial: float) -> str:
    """Return torch's name of the device that this process can use: a driver may lack its workers' GPUs.

    Args:
        gpus_per_trial: GPUs of each training, 0 for none.
    """
    import torch

    return requested_device(gpus_per_trial) if torch.cuda.is_available() else "cpu"


def require_device(name: str) -> None:
    """Refuse a device that this process cannot compute on.

    Args:
        name: device as torch names it.

    Raises:
        SettingsError: torch knows no such device, or this machine has none.
    """
    import torch

    try:
        device = torch.device(name)
        if device.type == "cuda":
            count = torch.cuda.device_count()
            if (device.index or 0) >= count:
                raise SettingsError(
                    f"--device {name}: torch {torch.__version__} finds {count} GPUs here",
                    hint="give --device cpu, or install a torch with CUDA on a machine with a GPU",
                )
        else:
            torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(
            f"--device {name}: {str(error).splitlines()[0]}", hint="give --device cpu, cuda or cuda:NUMBER"
        ) from error


def temporary_folder(kind: str) -> Path:
    """Create a folder of this process; ``sweep`` removes it if the process is killed."""
    # Some hold sockets, whose paths may have about 100 characters: the usual folder can be too deep.
    parent = Path("/tmp") if os.access("/tmp", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}-{os.getpid()}-", dir=parent))


def sweep() -> None:
    """Remove the temporary folders of processes that were killed."""
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        parts = folder.name.split("-")
        owner = parts[2] if len(parts) > 2 else ""
        if owner.isdigit() and not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
