"""A search as a Ray job: this code and the settings are sent to the cluster, passwords are not.

The job's driver runs on the cluster's head, so that the machine that submitted it can be switched off. Ray
keeps and shows the job's settings and environment, which therefore must not hold a password.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search_space.errors import SettingsError
from searcher.cluster.address import ClusterError
from searcher.plan.seeding import is_path
from searcher.record.storage import passwords_of
from searcher.settings.reading import load_settings
from searcher.settings.settings import Settings

_ROOMS = ("search_space", "proxy_train", "searcher", "results")
_FILE = "settings.yaml"
_SECRET_WORDS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "PGPASSFILE")


@dataclass(frozen=True)
class Submission:
    """The settings and the environment of a job.

    Args:
        settings: settings of the run, as resolved on this machine.
        env: environment variables of driver and workers.
        packages: packages that the cluster's nodes install before the job starts.
    """

    settings: Settings
    env: Mapping[str, str]
    packages: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: str, *, requirements: Path | None = None, env: Sequence[str] = ()) -> Submission:
        """Read the settings, and check that they can work on another machine.

        Args:
            settings: file of the settings, or name of a preset.
            requirements: text file with a package a line, for the cluster's nodes.
            env: environment variables of driver and workers, as NAME=VALUE.

        Raises:
            SettingsError: the settings are wrong, have relative folders, or hold a password.
        """
        loaded = load_settings(settings)
        check_portable(loaded)
        packages: tuple[str, ...] = ()
        if requirements is not None:
            try:
                lines = requirements.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(
                    f"--requirements {requirements} cannot be read: {error}", hint="give a text file"
                ) from error
            packages = tuple(line for raw in lines if (line := raw.partition("#")[0].strip()))
        return cls(loaded, _environment(env), packages)

    @property
    def entrypoint(self) -> str:
        """Command that the job runs on the cluster's head."""
        return shlex.join(["python", "-m", "movinas", "search", _FILE, "--address", "auto"])

    def runtime_env(self, folder: Path) -> dict[str, Any]:
        """Return Ray's description of the job's environment, with ``folder`` as its working directory."""
        description: dict[str, Any] = {"working_dir": str(folder)}
        if self.env:
            description["env_vars"] = dict(self.env)
        if self.packages:
            description["pip"] = list(self.packages)
        return description

    @contextmanager
    def staged(self) -> Iterator[Path]:
        """Yield a folder with the code and the settings, which is removed after the block."""
        with tempfile.TemporaryDirectory(prefix="movinas-launch-") as name:
            folder, root = Path(name), Path(__file__).parents[2]
            for room in _ROOMS:
                shutil.copytree(
                    root / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
                )
            shutil.copy(root / "movinas.py", folder)
            (folder / _FILE).write_text(self.settings.to_yaml(), encoding="utf-8")
            yield folder

    def text(self) -> str:
        """Return a description of the job for people."""
        environment = self.runtime_env(Path("CODE_AND_SETTINGS"))
        run = self.settings.run_dir
        return (
            f"command:     {self.entrypoint}\n"
            f"environment: {yaml.safe_dump(environment, default_flow_style=True, width=1000).strip()}\n"
            f"run:         {run}, on storage that all nodes share"
            f"\nrecord:      {self.settings.public_storage() or f'{run}/record.journal'}"
            f"\ndata:        {self.settings.data.root or self.settings.data.kind}, cache"
            f" {self.settings.data.cache_folder}"
        )


def submit(submission: Submission, address: str) -> str:
    """Submit a job; return the commands that follow, show and stop it.

    Args:
        submission: settings and environment of the job.
        address: address of the cluster's dashboard.

    Raises:
        ClusterError: Ray's client for jobs is not installed, or the cluster does not take the job.
    """
    try:
        from ray.job_submission import JobSubmissionClient

        client = JobSubmissionClient(address)
        with submission.staged() as folder:
            job = client.submit_job(
                entrypoint=submission.entrypoint,
                runtime_env=submission.runtime_env(folder),
                metadata={"run": submission.settings.name, "settings": submission.settings.digest},
            )
    except (RuntimeError, ImportError, ConnectionError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"the cluster at {address} does not take the job: {reason}",
            hint="does its dashboard run, and is movinas[cluster] installed here and on its head?",
        ) from error
    run = submission.settings.run_dir
    return (
        f"submitted as {job}\n"
        f"  ray job logs --address {address} {job} --follow\n"
        f"  movinas status {run}    # wherever the folder or its database can be read\n"
        f"  movinas stop {run}"
    )


def check_portable(settings: Settings) -> None:
    """Check that settings can work on other machines, and tell their users nothing that they must not know.

    Raises:
        SettingsError: they have relative folders, or hold a password.
    """
    if settings.storage is not None and passwords_of(settings.storage):
        raise SettingsError(
            "storage holds a password, which a job would show to all users of the cluster",
            hint="leave it out, and give PGPASSWORD or ~/.pgpass to the cluster's nodes",
        )
    folders = {"output": settings.output, "data.cache": settings.data.cache_folder}
    if settings.data.root is not None:
        folders["data.root"] = settings.data.root
    seeds = {f"search.seeds[{i}]": Path(e) for i, e in enumerate(settings.search.seeds) if is_path(e)}
    for key, path in (folders | seeds).items():
        if not path.expanduser().is_absolute():
            raise SettingsError(
                f"{key} is {path}, a relative path, but a job has another working folder",
                hint="give an absolute path on storage that the cluster's nodes share",
            )


def _environment(pairs: Sequence[str]) -> dict[str, str]:
    """Return environment variables from NAME=VALUE texts."""
    variables = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (equals and name.isidentifier()):
            raise SettingsError(f"--env {pair!r} is not a variable", hint="write NAME=VALUE")
        if any(part in name.upper() for part in _SECRET_WORDS):
            raise SettingsError(
                f"--env {name}: a job shows its environment to all users of the cluster",
                hint="set it on the cluster's nodes, as a secret of Kubernetes for instance",
            )
        variables[name] = value
    return variables
