"""The Slurm script, run with commands in place of Slurm's and Ray's that write down how they were called."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from searcher.run.scheduler_files import render
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
    token = os.environ["RAY_AUTH_TOKEN"]
    known = [name for name in {secrets} if name in os.environ]
    file.write("ray " + " ".join(sys.argv[1:]) + f" # {{os.getpid()}} {{','.join(known)}} {{token}}\\n")
if "--head" in sys.argv:
    port = next(int(word.split("=")[1]) for word in sys.argv if word.startswith("--port="))
    server = socket.create_server(("", port))
time.sleep(600)
"""
SECRETS = ["PGPASSWORD", "OTHER", "AWS_SECRET_ACCESS_KEY"]
MOVINAS = """#!/bin/bash
echo "movinas $*" >> "$CALLS"
if [ "$1" = stop ]; then touch "$CALLS.stop"; exit 0; fi
for _ in $(seq {tenths}); do [ -e "$CALLS.stop" ] && exit 0; sleep 0.1; done
exit {status}
"""


def rendered(tmp_path: Path) -> str:
    """The script of a run below a folder."""
    settings = tmp_path / "settings.yaml"
    cluster = {"nodes": 3, "cpus": 16, "gpus": 2, "memory_gib": 64, "hours": 1.5}
    secrets = {
        "PGPASSWORD": {"secret": "db", "key": "password"},
        "OTHER": {"secret": "db", "key": "other"},
        "AWS_SECRET_ACCESS_KEY": {"secret": "s3", "key": "key", "nodes": "all"},
        "WANDB_API_KEY": {"secret": "wandb", "key": "key", "optional": True},
    }
    data = {"name": "mine", "output": str(tmp_path / "runs"), "data": {"cache": "/scratch"}}
    settings.write_text(yaml.safe_dump(data | {"cluster": cluster | {"secrets": secrets}}))
    return render(str(settings), "slurm")


def start(tmp_path: Path, *, tenths: int = 5, status: int = 0) -> subprocess.Popen[str]:
    """The script as Slurm would start it on three nodes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    commands = {
        "srun": SRUN,
        "scontrol": SCONTROL,
        "ray": RAY.format(python=sys.executable, secrets=SECRETS),
        "movinas": MOVINAS.format(tenths=tenths, status=status),
        "hostname": "#!/bin/bash\necho 127.0.0.1\n",
    }
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(rendered(tmp_path))
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as free:
        job = 40_000 + (free.getsockname()[1] - 20_000) % 20_000
    env = (
        os.environ
        | {
            "PATH": f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(DEPLOY.parent),
            "CALLS": str(tmp_path / "calls"),
            "SLURM_JOB_ID": str(job),
            "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_CPUS_PER_TASK": "16",
            "SLURM_GPUS_ON_NODE": "2",
        }
        | dict.fromkeys(SECRETS, "geheim")
    )
    command = ["bash", str(script), "--trials", "9"]
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
    assert "start --block" in head and "--head" in head and "--num-cpus=16 --num-gpus=2" in head
    port = head.partition("--port=")[2].split()[0]
    assert len(others) == 2 and all(f"--address=127.0.0.1:{port}" in each for each in others)
    known = [each.partition("# ")[2].split()[1:] for each in (head, *others)]
    assert known[0][0] == ",".join(SECRETS) and {each[0] for each in known[1:]} == {"AWS_SECRET_ACCESS_KEY"}
    (token,) = {each[1] for each in known}
    assert len(token) >= 32, "of this job alone"
    assert "geheim" not in (tmp_path / "job.sh").read_text()
    nodes = [line.partition("--nodelist=")[2].split()[0] for line in calls(tmp_path, "srun")]
    assert sorted(nodes) == ["node1", "node1", "node2", "node3"]
    (search,) = calls(tmp_path, "movinas")
    told = check_command(["movinas", *search.split()])
    assert told["address"] == f"127.0.0.1:{port}" and told["trials"] == 9
    assert all(gone(int(each.partition("# ")[2].split()[0])) for each in (head, *others)), "orphans"
    assert not [call for call in calls(tmp_path, "scontrol") if "requeue" in call]


def test_the_script_asks_for_what_the_settings_say(tmp_path: Path) -> None:
    lines = rendered(tmp_path).splitlines()
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    assert {
        "--nodes=3",
        "--cpus-per-task=16",
        "--gpus-per-node=2",
        "--mem=65536M",
        "--time=1:30:00",
    } <= options


def test_a_missing_secret_ends_the_job_at_once_by_its_name(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(globals(), "SECRETS", SECRETS[:1])
    with start(tmp_path) as job:
        assert job.wait(60) != 0
        said = job.stderr.read() if job.stderr else ""
        assert (
            "AWS_SECRET_ACCESS_KEY: cluster.secrets names it" in said
            or "OTHER: cluster.secrets names it" in said
        )
    assert not calls(tmp_path, "ray")


def test_a_cancelled_job_ends_its_driver_first_and_does_not_queue_again(tmp_path: Path) -> None:
    with start(tmp_path, tenths=600) as job:
        for _ in range(400):
            if calls(tmp_path, "movinas"):
                break
            time.sleep(0.05)
        os.kill(job.pid, signal.SIGTERM)
        assert job.wait(100) == 143, job.stderr and job.stderr.read()
    assert all(gone(int(each.partition("# ")[2].split()[0])) for each in calls(tmp_path, "ray")), "orphans"
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
