"""A driver process that tests start, kill and look into."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from searcher.record.records import Records
from searcher.run.run_log import read_log
from tests.searcher.conftest import ROOT
from tests.searcher.processes import lines

DRIVER = Path(__file__).with_name("tiny_driver.py")


LAST = 4


class Driver:
    """A driver process on a run below ``folder``; a search of its own and its confirmation."""

    def __init__(self, folder: Path, seconds: float, **options: object) -> None:
        self.run, self.log = folder / "runs" / "tiny", folder / "log"
        given = [f"{key}={json.dumps(value)}" for key, value in options.items()]
        self._command = [
            sys.executable, str(DRIVER), str(folder / "runs"), str(self.log), str(seconds), *given
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; it goes on with the run if there is one."""
        self.process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """Kills it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(300)

    def finish(self, seconds: float = 500) -> None:
        """Waits until it has ended well."""
        assert self.process is not None
        assert self.process.wait(seconds) == 0

    def __enter__(self) -> Driver:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def epochs(self) -> list[str]:
        """A line for each epoch that was trained."""
        return lines(self.log)

    def workers(self) -> dict[str, int]:
        """Process of the worker that last trained each training of the search."""
        found = {}
        for name, line in read_log(self.run, "?"):
            if line["event"] == "epoch" and name.endswith("-search"):
                found[name] = int(line["where"].rpartition(":")[2])
            elif line["event"] in ("measured", "lost"):
                found.pop(name, None)
        return found

    def check(self, trials: int, *, failed: int = 0, redone: int = 0) -> Records:
        """That nothing planned is lost or twice there, and that no more than so many epochs were redone."""
        records = Records.reading(self.run)
        check(records, self.epochs, trials, failed=failed, redone=redone)
        return records


def check(records: Records, epochs: Sequence[str], trials: int, *, failed: int = 0, redone: int = 0) -> None:
    """That nothing planned is lost or twice in a record, and that no more than so many epochs were redone."""
    candidates = records.candidates()
    assert len(candidates) == len({each.digest for each in candidates}) == trials
    states = Counter(each.state for each in candidates)
    assert states["failed"] == failed and states["complete"] + states["pruned"] == trials - failed
    done = [each.key for each in records.measurements() if each.status == "complete"]
    assert len(done) == len(set(done)) and len(records.measurements("confirmation")) == 6
    reasons = [each.reason for each in records.measurements() if each.status == "failed"]
    assert len(reasons) == failed and all(reasons)
    counts = Counter(epochs)
    assert max(counts.values()) <= 1 + redone and sum(counts.values()) - len(counts) <= redone
