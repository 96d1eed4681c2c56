"""What listing a data set costs: CPU seconds and memory.

    python -m benchmarks.listing_speed [--cache /tmp/movinas-bench] [--rows 600000]

Empty files are written first: rows of Kinetics-700 in 700 folders, of which one in ten has no file, and 5,000
files in five class folders. Each listing runs in a process of its own; memory is the most that the process
had beyond what it had before. Writing takes a minute, and an inode a row.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import random
import resource
import string
import time
from pathlib import Path

from proxy_train.data.settings import DataSettings, load_dataset

_ID = string.ascii_letters + string.digits + "-_"
_SHORT = 5000  # files in class folders


def main() -> None:
    """Write the files, list them and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, default=Path("/tmp/movinas-bench"))
    parser.add_argument("--rows", type=int, default=600_000)
    options = parser.parse_args()
    kinetics, folders = options.cache / f"kinetics-{options.rows}", options.cache / f"folders-{_SHORT}"
    if not (kinetics / "train.csv").exists():
        write_kinetics(kinetics, options.rows)
    if not folders.exists():
        write_folders(folders, _SHORT)
    for kind, root, what in (
        ("kinetics", kinetics, f"{options.rows:,} rows"),
        ("folder", folders, f"{_SHORT:,} files"),
    ):
        for _ in range(3):
            seconds, megabytes = multiprocessing.get_context("spawn").Pool(1).apply(listed, (kind, root))
            print(f"{kind:10} {what:14} {seconds:6.2f} s of CPU, {megabytes:6.0f} MB")


def write_kinetics(root: Path, rows: int) -> None:
    """Write annotations as Kinetics-700 has them, and empty files."""
    chance = random.Random(0)
    classes = [f"doing thing number {number} (of all)" for number in range(700)]
    folders = [root / "videos" / name.replace(" ", "_") for name in classes]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[tuple[str, ...]]] = {"train": [], "validate": []}
    for number in range(rows):
        label, video, start = chance.randrange(700), "".join(chance.choices(_ID, k=11)), chance.randrange(300)
        split = "validate" if number % 20 == 1 else "train"
        lines[split].append((classes[label], video, str(start), str(start + 10), split))
        if number % 10:
            (folders[label] / f"{video}_{start:06d}_{start + 10:06d}.mp4").touch()
    for split in ("validate", "train"):
        with (root / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("label", "youtube_id", "time_start", "time_end", "split"))
            writer.writerows(lines[split])


def write_folders(root: Path, files: int) -> None:
    """Write empty files in five class folders."""
    for number in range(files):
        folder = root / "abcde"[number % 5]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.mp4").touch()


def listed(kind: str, root: Path) -> tuple[float, float]:
    """Return the CPU seconds and the megabytes of a listing."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    load_dataset(DataSettings.model_validate({"kind": kind, "root": root}), trainable=False)
    return time.process_time() - began, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3


if __name__ == "__main__":
    main()
