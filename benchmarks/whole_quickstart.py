"""The quickstart of several checkouts, in turns: what each confirms, and the CPU time of all its processes.

    git worktree add ../earlier COMMIT
    taskset -c 0 python -m benchmarks.whole_quickstart ../earlier . [--seeds 0 1 2 3 4] [--workers 1]

Each is the command that a user gives, with Ray, up to the confirmed frontier; no family is trained. The
hypervolume is that of the confirmed means of accuracy, in the space's range of multiply-adds on a logarithmic
scale. CPU time is counted by a control group of the kernel, which needs root, since Ray's processes leave
their parents. Run each quickstart once before, so that its clips are in the cache. Finished runs are kept in
``--work``: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from searcher.pareto import hypervolume

_GROUPS = Path("/sys/fs/cgroup")
# In a checkout, which may be old: its modules were elsewhere.
_RUN = """
import json, sys
from pathlib import Path
import results.pipeline as pipeline
try:
    from results.commands.terminal import Terminal
    from searcher.settings.reading import load_settings
except ImportError:
    from results.terminal import Terminal
    from searcher.settings_file import load_settings

name, seed, workers, output, found = sys.argv[1:]

def stop(session, *_, **__):
    low, high = session.settings.window(session.space)
    networks = [[each.macs, each.metrics["top1"]] for each in session.confirm()]
    Path(found).write_text(json.dumps({"networks": networks, "low": low, "high": high}))
    raise SystemExit(0)

pipeline.make_family = stop
given = {"name": name, "seed": int(seed), "output": output, "search.workers": int(workers)}
pipeline.run(load_settings("quickstart", given), Terminal())
"""


class Group:
    """A control group of the kernel, which counts the CPU time of all processes that begin in it."""

    def __init__(self, name: str) -> None:
        first = _GROUPS / "cpuacct"
        self._folder = (first if first.is_dir() else _GROUPS) / f"movinas-{name}-{os.getpid()}"
        try:
            self._folder.mkdir()
        except OSError as error:
            sys.exit(f"{self._folder} cannot be made: {error.strerror}; control groups need root")

    def enter(self) -> None:
        """Move this process into it."""
        (self._folder / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self) -> float:
        """Return the CPU seconds so far."""
        usage = self._folder / "cpuacct.usage"
        if usage.is_file():
            return int(usage.read_text()) / 1e9
        return int((self._folder / "cpu.stat").read_text().split()[1]) / 1e6

    def close(self) -> None:
        """Remove it; wait for what is left of its processes."""
        end = time.monotonic() + 60
        while (self._folder / "cgroup.procs").read_text() and time.monotonic() < end:
            time.sleep(0.1)
        self._folder.rmdir()


def run(checkout: Path, number: int, seed: int, workers: int, work: Path) -> dict[str, Any]:
    """Run a checkout's quickstart, and return what came out; a finished one is only read."""
    name = f"{number}-{seed}"
    kept, output, log = work / f"{name}.json", work / "runs", work / f"{name}.log"
    if not kept.is_file():
        shutil.rmtree(output / name, ignore_errors=True)
        found = work / f"{name}.part"
        command = [sys.executable, "-c", _RUN, name, str(seed), str(workers), str(output), str(found)]
        group, began = Group(name), time.monotonic()
        with log.open("w") as file:
            subprocess.run(
                command,
                cwd=checkout,
                env={**os.environ, "PYTHONPATH": str(checkout)},
                stdout=file,
                stderr=subprocess.STDOUT,
                preexec_fn=group.enter,
                check=True,
            )
        told = json.loads(found.read_text())
        told |= {"cpu_seconds": group.seconds(), "seconds": time.monotonic() - began}
        group.close()
        kept.write_text(json.dumps(told))
    result: dict[str, Any] = json.loads(kept.read_text())
    low, high = result["low"], result["high"]
    points = [(1 - top1, np.log(macs / low) / np.log(high / low)) for macs, top1 in result["networks"]]
    return result | {"hypervolume": hypervolume(np.array(points), (1.0, 1.0))}


def main() -> None:
    """Run them, and print a line for each and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkouts", type=Path, nargs="+", help="folders of this project's versions")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("build/whole-quickstart"))
    options = parser.parse_args()
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    checkouts = [checkout.resolve() for checkout in options.checkouts]
    rows: list[list[tuple[float, float]]] = []
    for seed in options.seeds:
        rows.append([])
        for number, checkout in enumerate(checkouts):
            found = run(checkout, number, seed, options.workers, work)
            rows[-1].append((found["hypervolume"], found["cpu_seconds"]))
            print(
                f"seed {seed}, {checkout.name}: hypervolume {found['hypervolume']:.3f},"
                f" {found['cpu_seconds']:.0f} CPU s, {found['seconds']:.0f} s",
                flush=True,
            )
    volumes, seconds = np.moveaxis(np.array(rows), 2, 0)
    for number, checkout in enumerate(checkouts):
        share = seconds[:, number] / seconds[:, 0]
        spread = volumes[:, number].std(ddof=1) if len(rows) > 1 else 0.0
        print(
            f"{checkout.name}: hypervolume {volumes[:, number].mean():.3f} +- {spread:.3f},"
            f" CPU time {share.mean():.2f} of the first's ({share.min():.2f} to {share.max():.2f})"
        )


if __name__ == "__main__":
    main()
