"""The files of KubeRay, of ``ray up`` and of Slurm that start a search, all from its one settings file.

What a search is and what its cluster is are said once, in the settings. The files have both, and name secrets
without their values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from search_space.errors import SettingsError
from search_space.yaml_document import read_yaml
from searcher.run import kuberay, ray_up, slurm
from searcher.run.launch import check_portable
from searcher.run.launched import Launched
from searcher.settings.reading import load_settings, settings_text
from searcher.settings.settings import Settings

MARK = "# Written by movinas launch --render"
"""How the second line of every rendered file begins, or its first."""


@dataclass(frozen=True)
class Scheduler:
    """A tool that starts clusters, and what its files are.

    Args:
        name: name of the tool, for people.
        file: end of the file's name, after the run's.
        render: function that returns the file's text.
        start: command that takes the file.
    """

    name: str
    file: str
    render: Callable[[Launched], str]
    start: str


SCHEDULERS: Mapping[str, Scheduler] = {
    "kuberay": Scheduler("KubeRay", "rayjob.yaml", kuberay.render, "kubectl apply -f"),
    "ray-up": Scheduler("ray up", "ray-up.yaml", ray_up.render, "ray up"),
    "slurm": Scheduler("Slurm", "slurm.sh", slurm.render, "sbatch"),
}


def render(settings: str, scheduler: str) -> str:
    """Return the text of a scheduler's file.

    Args:
        settings: file of the settings, or name of a preset.
        scheduler: key of ``SCHEDULERS``.

    Raises:
        SettingsError: the settings are wrong, hold a password or relative folders, or lack what the scheduler
            needs; names the key.
    """
    if scheduler not in SCHEDULERS:
        raise SettingsError(f"--render {scheduler}", hint=f"give {', '.join(SCHEDULERS)}")
    loaded = load_settings(settings)
    check_portable(loaded)
    tool = SCHEDULERS[scheduler]
    if loaded.cluster is None:
        raise SettingsError(
            f"cluster is missing, from which the file of {tool.name} is made",
            hint="say nodes, cpus, gpus, memory_gib and image there",
        )
    launched = Launched(loaded, loaded.cluster, _shipped(settings, loaded), tool.name)
    launched.check_trainings()
    head, _, rest = tool.render(launched).partition("\n")
    mark = f"{MARK} {scheduler} {Path(settings).name}; change that file, and write this one again."
    return f"{head}\n{mark}\n{rest}" if head.startswith("#!") else f"{mark}\n{head}\n{rest}"


def is_rendered(path: Path) -> bool:
    """Return whether a file was written from settings, so that it may be written again."""
    try:
        with path.open(encoding="utf-8") as file:
            return any(file.readline().startswith(MARK) for _ in range(2))
    except (OSError, UnicodeDecodeError):
        return False


def _shipped(settings: str, loaded: Settings) -> str:
    """Return the settings as the cluster gets them: without the cluster, with what other files say."""
    text, source = settings_text(settings)
    data: dict[str, Any] = read_yaml(text, source).data
    data.pop("cluster", None)
    resolved = yaml.safe_load(loaded.to_yaml())
    for key in ("space", "recipe"):
        named = data.get(key)
        if isinstance(named, str) and (Path(named).suffix or Path(named).exists()):
            data[key] = resolved[key]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
