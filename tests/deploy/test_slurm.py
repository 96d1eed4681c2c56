"""The Slurm script, run with commands in place of Slurm's and Ray's that write down how they were called."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy.deploy_files import DEPLOY, check_command

SRUN = """#!/bin/bash
echo "srun $*" >> "$CALLS"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> "$CALLS"
if [ "$1" = show ]; then printf 'node1\\nnode2\\nnode3\\n'; fi
"""
RAY = """#!{python}
import os, socket, sys, time
with open(os.environ["CALLS"], "a") as file:
    file.write("ray " + " ".join(sys.argv[1:]) + f" # {{os.getpid()}} {{os.environ['RAY_AUTH_MODE']}}\\n")
if "--head" in sys.argv:
    port = next(int(word.split("=")[1]) for word in sys.argv if word.startswith("--port="))
    server = socket.create_server(("", port))
time.sleep(600)
"""
MOVINAS = """#!/bin/bash
echo "movinas $*" >> "$CALLS"
if [ "$1" = stop ]; then touch "$CALLS.stop"; exit 0; fi
for _ in $(seq {tenths}); do [ -e "$CALLS.stop" ] && exit 0; sleep 0.1; done
exit {status}
"""


def start(tmp_path: Path, *, tenths: int = 5, status: int = 0) -> subprocess.Popen[str]:
    """The script as Slurm would start it on three nodes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {
        "srun": SRUN,
        "scontrol": SCONTROL,
        "ray": RAY.format(python=sys.executable),
        "movinas": MOVINAS.format(tenths=tenths, status=status),
        "hostname": "#!/bin/bash\necho 127.0.0.1\n",
    }
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"name: mine\noutput: {tmp_path / 'runs'}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        job = 40_000 + (free.getsockname()[1] - 20_000) % 20_000
    env = os.environ | {
        "PATH": f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(DEPLOY.parent),
        "CALLS": str(tmp_path / "calls"),
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_NODELIST": "node[1-3]",
        "SLURM_CPUS_PER_TASK": "16",
        "SLURM_GPUS_ON_NODE": "2",
    }
    command = ["bash", str(DEPLOY / "slurm.sh"), str(settings), "--trials", "9"]
    return subprocess.Popen(command, env=env, text=True, stderr=subprocess.PIPE, start_new_session=True)


def calls(tmp_path: Path, name: str) -> list[str]:
    """How a command was called."""
    file = tmp_path / "calls"
    text = file.read_text().splitlines() if file.exists() else []
    return [line.removeprefix(f"{name} ") for line in text if line.startswith(f"{name} ")]


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("status", [0, 3])
def test_ray_runs_on_every_node_for_as_long_as_the_search(tmp_path: Path, status: int) -> None:
    with start(tmp_path, status=status) as job:
        assert job.wait(400) == status, job.stderr and job.stderr.read()
    head, *others = calls(tmp_path, "ray")
    assert "start --head --block" in head and "--num-cpus=16 --num-gpus=2" in head
    port = head.partition("--port=")[2].split()[0]
    assert len(others) == 2 and all(f"--address=127.0.0.1:{port}" in each for each in others)
    assert all(each.endswith("disabled") for each in (head, *others))
    nodes = [line.partition("--nodelist=")[2].split()[0] for line in calls(tmp_path, "srun")]
    assert sorted(nodes) == ["node1", "node1", "node2", "node3"]
    (search,) = calls(tmp_path, "movinas")
    told = check_command(["movinas", *search.split()])
    assert told["address"] == f"127.0.0.1:{port}" and told["trials"] == 9
    assert all(gone(int(each.partition("# ")[2].split()[0])) for each in (head, *others)), "orphans"
    assert not [call for call in calls(tmp_path, "scontrol") if "requeue" in call]


def test_before_its_time_is_over_the_run_stops_and_the_job_queues_again(tmp_path: Path) -> None:
    with start(tmp_path, tenths=600, status=1) as job:
        for _ in range(400):
            if calls(tmp_path, "movinas"):
                break
            time.sleep(0.05)
        # As Slurm does it with --signal=B: to the script alone.
        os.kill(job.pid, signal.SIGUSR1)
        assert job.wait(400) == 0, job.stderr and job.stderr.read()
    stop = calls(tmp_path, "movinas")[1]
    assert Path(check_command(["movinas", *stop.split()])["run"]) == tmp_path / "runs" / "mine"
    assert calls(tmp_path, "scontrol")[-1].startswith("requeue ")
