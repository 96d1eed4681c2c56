"""Memory of this process."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

# Kilobytes on Linux, bytes on macOS.
_UNIT = 1 if sys.platform == "darwin" else 1024
_STATM = Path("/proc/self/statm")


def peak_bytes() -> int:
    """Return the largest memory that this process has had, in bytes."""
    # The system updates its maximum only now and then.
    return max(_maximum(), resident_bytes())


def resident_bytes() -> int:
    """Return the memory of this process in bytes; where the system does not tell, the largest so far."""
    if not _STATM.is_file():
        return _maximum()
    return int(_STATM.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _maximum() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
