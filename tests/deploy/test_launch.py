"""Searches as Ray jobs: what is shipped, what is refused, and a real job where Ray's server is installed."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from search_space.errors import SettingsError
from searcher.cluster.address import ClusterError
from searcher.run.launch import Submission, submit
from searcher.run.overview import overview
from searcher.testing.domains import TINY_SPACE
from tests.deploy.deploy_files import check_command


def write(folder: Path, **changes: Any) -> str:
    """A settings file that can be launched, with changes."""
    data = {"name": "job", "output": str(folder / "runs"), "data": {"cache": str(folder / "cache")}}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data | changes))
    return str(path)


def test_the_job_has_the_code_and_the_settings_and_starts_from_them(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# pinned\noptuna==5.0.0\n\nray[tune]==2.60.0  # engine\n")
    made = Submission.of(write(tmp_path), requirements=requirements, env=["OMP_NUM_THREADS=1"])
    words = shlex.split(made.entrypoint)
    assert words[:3] == ["python", "-m", "movinas"]
    assert check_command(words[2:]) | {"settings": "settings.yaml", "address": "auto"} == check_command(
        words[2:]
    )
    with made.staged() as folder:
        told = made.runtime_env(folder)
        assert told == {
            "working_dir": str(folder),
            "env_vars": {"OMP_NUM_THREADS": "1"},
            "pip": ["optuna==5.0.0", "ray[tune]==2.60.0"],
        }
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert size < 20 * 2**20 and not list(folder.rglob("__pycache__"))
        shown = subprocess.run(
            [sys.executable, "-m", "movinas", "space", "list"],
            cwd=folder, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "quickstart" in shown.stdout and "a0-stream" in shown.stdout, shown.stderr
        settings = yaml.safe_load((folder / "settings.yaml").read_text())
        assert settings["name"] == "job" and settings["output"] == str(tmp_path / "runs")
    assert not folder.exists()


REFUSALS: dict[str, tuple[dict[str, Any], list[str], str]] = {
    "a password in the settings": (
        {"storage": "postgresql://me:geheim@db/movinas"}, [], "storage holds a password.*PGPASSWORD"
    ),
    "a password in the environment": ({}, ["PGPASSWORD=geheim"], "--env PGPASSWORD: a job shows"),
    "a folder of this machine": ({"output": "runs"}, [], "output is runs.*absolute path"),
    "a run of this machine": ({"search": {"seeds": ["published", "runs/first"]}}, [],
                              r"search\.seeds\[1\] is runs/first, a relative path"),
    "no value": ({}, ["OMP_NUM_THREADS"], "write NAME=VALUE"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_work_or_would_tell_secrets_is_refused(tmp_path: Path, case: str) -> None:
    changes, env, told = REFUSALS[case]
    with pytest.raises(SettingsError, match=told) as raised:
        Submission.of(write(tmp_path, **changes), env=env)
    assert "geheim" not in str(raised.value)


def test_a_cluster_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"127\.0\.0\.1:1 does not take the job.*movinas\[cluster\]"):
        submit(Submission.of(write(tmp_path)), "http://127.0.0.1:1")


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def job_server(folder: Path) -> Iterator[str]:
    """A head with a place for one training and a server for jobs."""
    port = _free()
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=1"),
        *(f"--port={_free()}", f"--dashboard-port={port}", "--include-dashboard=true"),
        *(f"--temp-dir={folder}", "--disable-usage-stats"),
    ]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"RAY_AUTH_MODE": "disabled", "PATH": path}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL) as head:
        try:
            for _ in range(600):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            head.terminate()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_real_job_searches_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp", reason="the extra cluster is not installed")
    pytest.importorskip("opencensus", reason="the extra cluster is not installed")
    from ray.job_submission import JobSubmissionClient

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    settings = write(
        tmp_path,
        data={"preset": "tiny", "cache": str(Path("~/.cache/movinas").expanduser())},
        space=TINY_SPACE,
        search={"trials": 2, "startup": 2, "workers": 1, "rungs": [1]},
        confirmation={"epochs": 1, "seeds": 1, "members": 1},
        family={"epochs": 1},
    )
    made = Submission.of(settings)
    folder = Path("/tmp") / f"mvj-{os.getpid()}"
    with job_server(folder) as address:
        for attempt in range(30):
            try:
                told = submit(made, address)
                break
            except ClusterError:
                assert attempt < 29
                time.sleep(1)
        name = told.split()[2]
        client = JobSubmissionClient(address)
        while not client.get_job_status(name).is_terminal():
            time.sleep(1)
        assert str(client.get_job_status(name)) == "SUCCEEDED", client.get_job_logs(name)[-3000:]
        assert client.get_job_info(name).metadata["run"] == "job"
    found = overview(made.settings.run_dir)
    assert found.candidates == {"complete": 2} and (found.beat is None or found.beat.state == "ended")
    assert (made.settings.run_dir / "report.html").is_file()
