"""Keeping freed memory in the process, because every training step asks for the same again."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
_NEVER = 2**31 - 1


def retain_freed_memory() -> bool:
    """Tell glibc not to give freed memory back to the system, for the rest of the process.

    Large tensors are otherwise mapped and unmapped at every use, and the first touch of every page is a
    fault: a fifth to a third of a large training step on a CPU. The process keeps its peak memory, so this is
    for workers.

    Returns:
        Whether it took effect; False where the C library is not glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
