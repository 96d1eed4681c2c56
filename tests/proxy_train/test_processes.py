"""Work in other processes: all of it is done, whatever a task does to its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy_train.processes import map_in_processes, run_in_process
from search_space.errors import DataError


def square(number: int) -> int:
    return number * number


def deadly(number: int) -> int:
    """Kills its process at 3, as a decoder's fault would."""
    if number == 3:
        os._exit(1)
    return number


def blamed(number: int) -> int:
    found = run_in_process(deadly, number)
    return -number if found is None else found


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_done_once(workers: int) -> None:
    assert sorted(map_in_processes(square, range(6), workers)) == [0, 1, 4, 9, 16, 25]


def test_a_task_that_kills_its_process_is_found_and_the_others_are_done() -> None:
    assert sorted(map_in_processes(deadly, range(5), 2, blame=blamed)) == [-3, 0, 1, 2, 4]


def test_a_single_task_with_blame_does_not_end_this_process() -> None:
    assert list(map_in_processes(deadly, [3], 2, blame=blamed)) == [-3]


def test_without_blame_it_is_an_error() -> None:
    with pytest.raises(DataError, match="a worker process was killed"):
        list(map_in_processes(deadly, range(5), 2))


def test_a_script_without_a_guard_of_its_main_part_runs_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from proxy_train.processes import map_in_processes\n"
        "from tests.proxy_train.test_processes import square\n"
        "print('running', flush=True)\n"
        "print(sorted(map_in_processes(square, range(4), 2)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("running\n[0, 1, 4, 9]\n", "", 0)
