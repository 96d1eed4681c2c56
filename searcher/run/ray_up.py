"""A cluster of AWS for ``ray up``."""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from search_space.errors import SettingsError
from searcher.run.launched import CACHE_OF_NODE, GRACE_SECONDS, Launched
from searcher.settings.cluster_settings import TOKEN

_HEADER = """\
# A cluster on AWS: ray up this file, then start the search as a job of its, which has the secrets:
#   ray exec this file 'ray job submit --no-wait -- movinas search {settings} --address auto'
#   or from here:  ray dashboard this file, and movinas launch settings.yaml --address http://localhost:8265
# ray down this file ends it; what is on the shared file system stays.
#
# Where things live:
#   videos, runs (record, checkpoints, results)   {shared}, the NFS file system {nfs}
#   decoded videos                                {cache}, on each node's own disk
#   record, if settings name a database           PostgreSQL; its password comes from Secrets Manager
"""
_SETTINGS = "/tmp/movinas-settings.yaml"
_NOTICES = "/tmp/movinas-spot-notice.log"
# Values go from AWS to the shell that starts Ray: no file, no command and no log has them.
_FETCH = (
    "import boto3, json, sys; "
    "print(json.loads(boto3.client('secretsmanager', region_name=sys.argv[1])"
    ".get_secret_value(SecretId=sys.argv[2])['SecretString'])[sys.argv[3]])"
)


def render(launched: Launched) -> str:
    """Return the text of the cluster's file.

    Raises:
        SettingsError: the settings lack something.
    """
    launched.check_shared()
    storage, aws = launched.need("storage"), launched.need("aws")
    if storage.nfs is None:
        raise SettingsError(
            "cluster.storage.nfs is missing, without which no file for ray up can be written",
            hint="set it to a file system, such as fs-0123.efs.us-east-1.amazonaws.com:/",
        )
    header = _HEADER.format(settings=_SETTINGS, shared=storage.path, nfs=storage.nfs, cache=launched.cache)
    return header + yaml.safe_dump(_cluster(launched, storage, aws), sort_keys=False, width=1000)


def _cluster(launched: Launched, storage: Any, aws: Any) -> dict[str, Any]:
    cluster = launched.cluster
    head = {"CPU": 0, "memory": round(cluster.head.memory_gib * 2**30)}
    node = {"CPU": launched.need("cpus"), "memory": round(launched.need("memory_gib") * 2**30)}
    gpus = launched.need("gpus")
    if gpus:
        node["GPU"] = gpus
    hired = _machine(aws, aws.node)
    if aws.spot:
        # Spot machines come and go; their trainings go on elsewhere from their checkpoints.
        hired["InstanceMarketOptions"] = {"MarketType": "spot"}
    return {
        "cluster_name": launched.name,
        "max_workers": launched.need("nodes"),
        "upscaling_speed": 4.0,
        "idle_timeout_minutes": 10,
        "provider": {"type": "aws", "region": aws.region, "cache_stopped_nodes": False},
        "auth": {"ssh_user": "ubuntu"},
        "docker": {
            "image": launched.need("image"),
            "container_name": "movinas",
            "run_options": _run_options(launched, storage),
            "worker_run_options": ["--gpus all"] if gpus else [],
        },
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": head, "node_config": _machine(aws, aws.head)},
            "training": {
                "min_workers": cluster.least_nodes,
                "max_workers": launched.need("nodes"),
                "resources": node,
                "node_config": hired,
            },
        },
        "initialization_commands": [
            "sudo apt-get install --yes nfs-common",
            f"sudo mkdir -p {storage.path} {CACHE_OF_NODE}",
            f"mountpoint -q {storage.path} || sudo mount -t nfs4 -o nfsvers=4.1,hard,timeo=600"
            f" {storage.nfs} {storage.path}",
            f"sudo chmod a+rwx {CACHE_OF_NODE}",
        ],
        "head_setup_commands": [
            f"printf %s {shlex.quote(launched.text)} > {_SETTINGS}",
        ],
        "head_start_ray_commands": [
            "ray stop",
            _with_secrets(
                launched,
                "ray start --head --port=6379 --dashboard-host=127.0.0.1"
                " --autoscaling-config=~/ray_bootstrap_config.yaml",
                worker=False,
            ),
        ],
        "worker_start_ray_commands": [
            "ray stop",
            _with_secrets(launched, _start_of_worker(aws), worker=True),
        ],
    }


def _start_of_worker(aws: Any) -> str:
    start = "ray start --address=$RAY_HEAD_IP:6379"
    # The connection that starts it ends at once, and it must not.
    watch = "nohup setsid python -m searcher.cluster.spot_notice"
    return f"{start} && {{ {watch} </dev/null >{_NOTICES} 2>&1 & }}" if aws.spot else start


def _machine(aws: Any, kind: str) -> dict[str, Any]:
    disk = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": aws.disk_gib, "VolumeType": "gp3"}}
    machine: dict[str, Any] = {"InstanceType": kind, "BlockDeviceMappings": [disk]}
    if aws.role is not None:
        machine["IamInstanceProfile"] = {"Arn": aws.role}
    return machine


def _run_options(launched: Launched, storage: Any) -> list[str]:
    options = [
        "--ulimit nofile=65536:65536",
        f"--stop-timeout {GRACE_SECONDS}",
        f"--volume {storage.path}:{storage.path}",
    ]
    if not launched.settings.data.cache_folder.is_relative_to(storage.path):
        options.append(f"--volume {CACHE_OF_NODE}:{shlex.quote(launched.cache)}")
    return [*options, *(f"--env {name}={value}" for name, value in launched.environment.items())]


def _with_secrets(launched: Launched, command: str, *, worker: bool) -> str:
    """Return a command that gets the secrets of its node in its environment."""
    region, steps = launched.need("aws").region, []
    for name, reference in launched.cluster.secrets.items():
        if worker and reference.nodes == "head" and name != TOKEN:
            continue
        fetch = shlex.join(["python", "-c", _FETCH, region, reference.secret, reference.key])
        # On its own: an export would hide that it failed.
        steps.append(f"{name}=$({fetch})" + (" || true" if reference.optional else ""))
        steps.append(f"export {name}")
    return " && ".join([*(f"{{ {step}; }}" for step in steps), command])
