"""What pyproject.toml says of dependencies and what the two lists of versions pin do not drift apart."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What `make test-oldest` installs.
INSTALLED = ("dev", "bench", "hub", "postgresql")


def lower_bounds() -> dict[str, Version]:
    """Return the lowest version of every package that the tests need, by its name."""
    texts = [*PROJECT["dependencies"]]
    for extra in INSTALLED:
        texts += PROJECT["optional-dependencies"][extra]
    requirements = [Requirement(text) for text in texts]
    return {
        requirement.name.lower(): Version(specifier.version)
        for requirement in requirements
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }


def pinned(name: str) -> dict[str, Version]:
    """Return the versions that a list pins, by the package's name."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line]
    return {package.lower(): Version(version) for package, version in (line.split("==") for line in lines)}


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    oldest = pinned("constraints-oldest.txt")
    bounds = lower_bounds()
    assert {name: oldest.get(name) for name in bounds} == bounds


def test_the_pinned_versions_are_admitted() -> None:
    pins = {re.sub(r"[-_.]+", "-", name): version for name, version in pinned("constraints.txt").items()}
    for name, bound in lower_bounds().items():
        assert pins[re.sub(r"[-_.]+", "-", name)] >= bound, name


@pytest.mark.slow
def test_an_installed_wheel_renders_the_files_of_schedulers(tmp_path: Path) -> None:
    source, wheels = tmp_path / "source", tmp_path / "wheels"
    for name in ("search_space", "proxy_train", "searcher", "results"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("movinas.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels)]
    subprocess.run([*build, str(source)], check=True)
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "installed")
    for scheduler in ("kuberay", "ray-up", "slurm"):
        made = tmp_path / scheduler
        subprocess.run(
            [sys.executable, "-m", "movinas", "launch", str(ROOT / "deploy" / "settings.yaml"),
             "--render", scheduler, "--output", str(made)],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")}, check=True,
        )  # fmt: skip
        assert made.stat().st_size > 2000
