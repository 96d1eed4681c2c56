"""A search and its cluster, as the files of all schedulers need them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_space.errors import SettingsError
from searcher.settings.cluster_settings import TOKEN, ClusterSettings
from searcher.settings.settings import Settings

GRACE_SECONDS = 30
"""Seconds between SIGTERM and SIGKILL that nodes are given: what schedulers do by default."""
CACHE_OF_NODE = "/var/cache/movinas"
"""Folder of a machine's own disk whose content its containers have as ``data.cache``."""
_NEEDED = {
    "nodes": "number of nodes that train, such as 4",
    "cpus": "CPUs of such a node, such as 16",
    "gpus": "GPUs of such a node, 0 for none",
    "memory_gib": "memory of such a node, such as 64",
    "hours": "longest time of the job, such as 24",
    "image": "container image, such as registry.example.org/movinas:0.1",
    "storage": "file system that all nodes share, such as {path: /shared, gib: 1024}",
    "aws": "machines, such as {region: us-east-1, head: m6i.2xlarge, node: g5.2xlarge}",
}


@dataclass(frozen=True)
class Launched:
    """A search that a scheduler starts.

    Args:
        settings: settings of the run.
        cluster: their part about the cluster.
        text: settings that the cluster gets, YAML without that part.
        scheduler: name of the scheduler, for messages.
    """

    settings: Settings
    cluster: ClusterSettings
    text: str
    scheduler: str

    @property
    def name(self) -> str:
        """Name of the run in lower-case letters, digits and dashes, as Kubernetes takes them."""
        kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in self.settings.name.lower())
        return f"movinas-{kept.strip('-')[:40].strip('-')}"

    @property
    def cache(self) -> str:
        """Folder of decoded videos."""
        return str(self.settings.data.cache_folder)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of every node, without secrets."""
        mode = "token" if TOKEN in self.cluster.secrets else "disabled"
        return {"RAY_AUTH_MODE": mode, "RAY_USAGE_STATS_ENABLED": "0"}

    def need(self, key: str) -> Any:
        """Return a part of the cluster.

        Raises:
            SettingsError: the settings do not say it.
        """
        value = getattr(self.cluster, key)
        if value is None:
            raise SettingsError(
                f"cluster.{key} is missing, without which no file for {self.scheduler} can be written",
                hint=f"set it to the {_NEEDED[key]}",
            )
        return value

    def check_trainings(self) -> None:
        """Check that a node has room for a training.

        Raises:
            SettingsError: a figure is missing, or a training needs more than a node has.
        """
        nodes, search = self.need("nodes"), self.settings.search
        if self.cluster.least_nodes > nodes:
            raise SettingsError(
                f"cluster.least_nodes is {self.cluster.least_nodes}, but cluster.nodes {nodes}",
                hint="lower it",
            )
        for key, needed in {"cpus": search.cpus_per_trial, "gpus": search.gpus_per_trial}.items():
            if needed > self.need(key):
                raise SettingsError(
                    f"cluster.{key} is {self.need(key)}, but search.{key}_per_trial {needed:g}",
                    hint=f"no node could train: raise cluster.{key}, or lower search.{key}_per_trial",
                )

    def check_shared(self) -> None:
        """Check that what all nodes share lies on the shared file system.

        Raises:
            SettingsError: the file system is missing, or a folder lies elsewhere.
        """
        shared: Path = self.need("storage").path
        folders = {"output": self.settings.output}
        if self.settings.data.root is not None:
            folders["data.root"] = self.settings.data.root
        for key, folder in folders.items():
            if not folder.is_relative_to(shared):
                raise SettingsError(
                    f"{key} is {folder}, which is not below cluster.storage.path, {shared}",
                    hint="containers keep nothing else",
                )
