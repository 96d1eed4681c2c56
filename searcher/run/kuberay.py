"""A search as a RayJob of KubeRay."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import yaml

from searcher.run.launched import CACHE_OF_NODE, GRACE_SECONDS, Launched
from searcher.settings.cluster_settings import TOKEN

_HEADER = """\
# A search as a RayJob of KubeRay: kubectl apply -f this file
#
# Where things live:
#   videos, runs (record, checkpoints, results)   {shared}, the claim {claim} (ReadWriteMany, such as NFS)
#   decoded videos                                {cache}; made there by the first training
#   record, if settings name a database           PostgreSQL; its password comes from a secret
#
# Killed, evicted or out of retries, the same job goes on where it was. Status, from pods that mount {shared}:
#   movinas status {run}
"""
_SETTINGS_FOLDER = "/etc/movinas"
# Before a pod gets SIGTERM, its trainings write their checkpoints.
_LEAVE = ["python", "-m", "searcher.cluster.leaving", str(GRACE_SECONDS - 5)]


def render(launched: Launched) -> str:
    """Return the text of the RayJob, its settings and its claim.

    Raises:
        SettingsError: the settings lack something.
    """
    launched.check_shared()
    storage = launched.need("storage")
    documents = [_settings(launched), *([_claim(launched)] if storage.gib else []), _job(launched)]
    header = _HEADER.format(
        shared=storage.path, claim=storage.claim, cache=launched.cache, run=launched.settings.run_dir
    )
    return header + "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
        for document in documents
    )


class _Dumper(yaml.SafeDumper):
    """A writer of YAML that keeps lines of text, and writes what occurs twice twice."""

    def ignore_aliases(self, data: object) -> bool:
        """Return that nothing is written as a reference."""
        del data
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _settings(launched: Launched) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{launched.name}-settings"},
        "data": {"settings.yaml": launched.text},
    }


def _claim(launched: Launched) -> dict[str, Any]:
    storage = launched.need("storage")
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": storage.claim},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": f"{storage.gib:g}Gi"}},
        },
    }


def _job(launched: Launched) -> dict[str, Any]:
    cluster = launched.cluster
    spec: dict[str, Any] = {
        "entrypoint": f"movinas search {_SETTINGS_FOLDER}/settings.yaml --address auto",
        # The driver needs no place of its own among the CPUs for trainings.
        "entrypointNumCpus": 0,
        # A driver that dies is started again, and goes on with the run.
        "backoffLimit": 5,
        "submissionMode": "K8sJobMode",
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 600,
    }
    if cluster.hours is not None:
        spec["activeDeadlineSeconds"] = round(cluster.hours * 3600)
    autoscaler: dict[str, Any] = {"idleTimeoutSeconds": 300}
    if TOKEN in cluster.secrets:
        # Whoever speaks to the head has to know the token.
        autoscaler["env"] = _environment(launched, only=(TOKEN,))
        spec["submitterPodTemplate"] = {"spec": _submitter(launched)}
    spec["rayClusterSpec"] = {
        "rayVersion": version("ray"),
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": autoscaler,
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},
            "template": {"spec": _head(launched)},
        },
        "workerGroupSpecs": [
            {
                "groupName": "training",
                "replicas": max(1, cluster.least_nodes),
                "minReplicas": cluster.least_nodes,
                "maxReplicas": launched.need("nodes"),
                "rayStartParams": {},
                "template": {"spec": _worker(launched)},
            }
        ],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": launched.name},
        "spec": spec,
    }


def _submitter(launched: Launched) -> dict[str, Any]:
    container = {
        "name": "ray-job-submitter",
        "image": launched.need("image"),
        "env": _environment(launched, only=(TOKEN,)),
    }
    return {"containers": [container], "restartPolicy": "Never"}


def _head(launched: Launched) -> dict[str, Any]:
    head = launched.cluster.head
    container = {
        "name": "ray-head",
        "image": launched.need("image"),
        "env": _environment(launched),
        "ports": [
            {"containerPort": 6379, "name": "gcs-server"},
            {"containerPort": 8265, "name": "dashboard"},
            {"containerPort": 10001, "name": "client"},
        ],
        "resources": {
            "requests": {"cpu": f"{head.cpus:g}", "memory": f"{head.memory_gib:g}Gi"},
            "limits": {"memory": f"{head.memory_gib:g}Gi"},
        },
    }
    settings = {"name": "settings", "configMap": {"name": f"{launched.name}-settings"}}
    return _pod(launched, container, settings, _SETTINGS_FOLDER)


def _worker(launched: Launched) -> dict[str, Any]:
    memory = launched.need("memory_gib")
    limits = {"memory": f"{memory:g}Gi"}
    if gpus := launched.need("gpus"):
        limits["nvidia.com/gpu"] = str(gpus)
    container = {
        "name": "ray-worker",
        "image": launched.need("image"),
        "env": _environment(launched, worker=True),
        "resources": {"requests": {"cpu": str(launched.need("cpus")), **limits}, "limits": limits},
    }
    medium = {"medium": "Memory", "sizeLimit": f"{memory / 4:g}Gi"}
    return _pod(launched, container, {"name": "dshm", "emptyDir": medium}, "/dev/shm")


def _pod(launched: Launched, container: dict[str, Any], own: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the description of a pod with the shared folders and a volume of its own."""
    storage = launched.need("storage")
    mounts = [{"name": "shared", "mountPath": str(storage.path)}]
    volumes = [{"name": "shared", "persistentVolumeClaim": {"claimName": storage.claim}}]
    if not launched.settings.data.cache_folder.is_relative_to(storage.path):
        mounts.append({"name": "cache", "mountPath": launched.cache})
        volumes.append({"name": "cache", "hostPath": {"path": CACHE_OF_NODE, "type": "DirectoryOrCreate"}})
    container["volumeMounts"] = [*mounts, {"name": own["name"], "mountPath": place}]
    container["lifecycle"] = {"preStop": {"exec": {"command": _LEAVE}}}
    return {
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [container],
        "volumes": [*volumes, own],
    }


def _environment(
    launched: Launched, *, worker: bool = False, only: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    """Return the environment of a container: values that anybody may see, and references to secrets."""
    env: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in launched.environment.items()
    ]
    for name, reference in launched.cluster.secrets.items():
        if (only and name not in only) or (worker and reference.nodes == "head" and name != TOKEN):
            continue
        source = {"name": reference.secret, "key": reference.key}
        if reference.optional:
            source |= {"optional": True}  # type: ignore[dict-item]
        env.append({"name": name, "valueFrom": {"secretKeyRef": source}})
    return env
