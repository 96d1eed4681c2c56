"""A node that has to go: its trainings write their checkpoints first.

Schedulers send SIGTERM and, seconds later, SIGKILL. Ray's server on a node kills its workers within
milliseconds of SIGTERM, so that their checkpoints have to come before it. As a program::

    python -m searcher.cluster.leaving SECONDS               tells all trainings here, and waits for them
    python -m searcher.cluster.leaving SECONDS -- COMMAND    runs a node of Ray, and does so at its SIGTERM

The first is for a hook that runs before a container ends, the second for steps of Slurm, whose SIGTERM goes
to every process at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from searcher.cluster.machine import temporary_folder

_TRAINING, _LEFT = "training", "left"
_PAUSE_SECONDS = 0.05


def mark_training() -> None:
    """Let ``leave`` know that this process trains; Ray gives it a name that changes with what it does."""
    temporary_folder(_TRAINING)


def mark_left() -> None:
    """Let ``leave`` know that this process has nothing more to lose."""
    temporary_folder(_LEFT)


def leave(seconds: float, pids: Sequence[int] | None = None) -> list[int]:
    """Tell trainings of this machine to write their checkpoints; wait until they have.

    Args:
        seconds: longest wait.
        pids: processes of the trainings; by default all trainings and drivers that this process can see.

    Returns:
        Processes that have not answered in time.
    """
    deadline = time.monotonic() + seconds
    waiting = [pid for pid in (_trainings() if pids is None else pids) if _tell(pid)]
    while waiting and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        waiting = [pid for pid in waiting if is_alive(pid) and not _has_marked(pid, _LEFT)]
    return waiting


def run_node(seconds: float, command: Sequence[str]) -> int:
    """Run a node of Ray until it ends, or until SIGTERM; then its trainings leave before it is killed.

    Args:
        seconds: longest wait for the trainings after SIGTERM.
        command: command that starts the node, and ends with it.

    Returns:
        Exit status of the command; 0 after SIGTERM.
    """
    told: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        told.append(number)

    signal.signal(signal.SIGTERM, note)
    # Children inherit it: a SIGTERM to all processes of the step leaves the node alone. Workers take it back.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    node = subprocess.Popen(command)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    while node.poll() is None and not told:
        time.sleep(_PAUSE_SECONDS)
    if not told:
        return node.returncode
    below = descendants(node.pid)
    leave(seconds, [pid for pid in below if trains(pid)])
    for pid in [node.pid, *descendants(node.pid), *below]:
        _kill(pid, signal.SIGKILL)
    node.wait()
    return 0


def descendants(pid: int) -> list[int]:
    """Return the processes below one, its children first."""
    children: dict[int, list[int]] = {}
    for each, parent in _processes():
        children.setdefault(parent, []).append(each)
    found, below = list(children.get(pid, [])), 0
    while below < len(found):
        found += children.get(found[below], [])
        below += 1
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _processes() -> Iterator[tuple[int, int]]:
    """Yield all processes with their parents."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            yield int(entry.name), int(stat.rpartition(")")[2].split()[1])


def command_lines() -> dict[int, list[str]]:
    """Return the words that started each process of this machine, by the process."""
    found = {}
    for pid, _ in _processes():
        with suppress(OSError):
            found[pid] = (
                Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
            )
    return found


def _trainings() -> list[int]:
    """Return the processes that train or drive a run, but this one."""
    found = []
    for pid, words in command_lines().items():
        drives = "search" in words and any(word.rpartition("/")[2] == "movinas" for word in words[:3])
        if pid != os.getpid() and (drives or trains(pid)):
            found.append(pid)
    return found


def _tell(pid: int) -> bool:
    return is_alive(pid) and _kill(pid, signal.SIGTERM)


def _kill(pid: int, number: signal.Signals) -> bool:
    """Send a signal; return whether there was somebody to get it."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def trains(pid: int) -> bool:
    """Return whether a process of this machine trains networks."""
    return _has_marked(pid, _TRAINING)


def _has_marked(pid: int, kind: str) -> bool:
    return any(Path("/tmp").glob(f"movinas-{kind}-{pid}-*"))


def main() -> None:
    """Leave, or run a node that leaves; see the module."""
    seconds, *rest = sys.argv[1:]
    if rest[:1] == ["--"]:
        sys.exit(run_node(float(seconds), rest[1:]))
    leave(float(seconds))


if __name__ == "__main__":
    main()
