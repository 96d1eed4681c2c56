"""The files of schedulers, from one settings file: what is in them, what is refused, what their tools say."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate as validate
import pytest
import yaml
from typer.testing import CliRunner

import movinas
from search_space.errors import SettingsError
from searcher.run.scheduler_files import SCHEDULERS, render
from searcher.settings.reading import load_settings
from tests.searcher.processes import alive, until

CLUSTER: dict[str, Any] = {
    "image": "registry.example.org/movinas:1",
    "nodes": 5,
    "least_nodes": 2,
    "cpus": 12,
    "gpus": 3,
    "memory_gib": 48,
    "hours": 36,
    "head": {"cpus": 4, "memory_gib": 6},
    "storage": {"path": "/data", "claim": "mine", "gib": 50, "nfs": "nfs.example.org:/export"},
    "secrets": {
        "PGPASSWORD": {"secret": "db", "key": "password"},
        "AWS_SECRET_ACCESS_KEY": {"secret": "s3", "key": "secret", "nodes": "all"},
        "RAY_AUTH_TOKEN": {"secret": "ray", "key": "token"},
    },
    "aws": {"region": "eu-central-1", "head": "m7i.large", "node": "p4d.24xlarge", "spot": False},
}


def write(folder: Path, cluster: Any = CLUSTER, **changes: Any) -> str:
    """A settings file for a cluster."""
    data = {"name": "My_Run.2", "output": "/data/runs", "data": {"cache": "/scratch"}, "space": "a0-stream"}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(data | {"cluster": cluster} | changes))
    return str(path)


def without(key: str) -> dict[str, Any]:
    """The cluster without one of its parts."""
    top, _, below = key.partition(".")
    rest = {name: value for name, value in CLUSTER.items() if name != top}
    return rest | ({top: {k: v for k, v in CLUSTER[top].items() if k != below}} if below else {})


def documents(folder: Path, scheduler: str = "kuberay", **changes: Any) -> list[dict[str, Any]]:
    """The parts of a rendered file."""
    return list(yaml.safe_load_all(render(write(folder, **changes), scheduler)))


def test_every_figure_is_where_kuberay_looks_for_it(tmp_path: Path) -> None:
    config, claim, job = documents(tmp_path)
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    assert job["metadata"]["name"] == "movinas-my-run-2" and job["spec"]["activeDeadlineSeconds"] == 36 * 3600
    cluster = job["spec"]["rayClusterSpec"]
    (group,) = cluster["workerGroupSpecs"]
    assert (group["minReplicas"], group["replicas"], group["maxReplicas"]) == (2, 2, 5)
    worker, head = (each["template"]["spec"]["containers"][0] for each in (group, cluster["headGroupSpec"]))
    assert worker["resources"]["requests"] == {"cpu": "12", "memory": "48Gi", "nvidia.com/gpu": "3"}
    assert head["resources"]["requests"] == {"cpu": "4", "memory": "6Gi"}
    assert worker["image"] == head["image"] == CLUSTER["image"]
    secret = {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "ray", "key": "token"}}}
    names = {each["name"] for each in worker["env"]}
    assert "AWS_SECRET_ACCESS_KEY" in names and "PGPASSWORD" not in names
    (submitter,) = job["spec"]["submitterPodTemplate"]["spec"]["containers"]
    for env in (worker["env"], head["env"], submitter["env"], cluster["autoscalerOptions"]["env"]):
        assert secret in env and {"name": "RAY_AUTH_MODE", "value": "token"} in env
    (tmp_path / "shipped.yaml").write_text(config["data"]["settings.yaml"])
    shipped, own = load_settings(tmp_path / "shipped.yaml"), load_settings(tmp_path / "mine.yaml")
    assert shipped.cluster is None and shipped.identity() == own.identity()


def test_a_claim_that_exists_is_not_made_and_shared_caches_are_not_mounted_twice(tmp_path: Path) -> None:
    cluster = CLUSTER | {"storage": {"path": "/data"}}
    _, job = documents(tmp_path, cluster=cluster, data={"cache": "/data/cache"})
    pod = job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["shared", "dshm"]


def test_what_kubernetes_itself_says_of_the_parts(tmp_path: Path) -> None:
    """Its published schemas; that of a RayJob comes with KubeRay only."""
    config, claim, job = documents(tmp_path)
    cluster = job["spec"]["rayClusterSpec"]
    templates = [job["spec"]["submitterPodTemplate"], cluster["headGroupSpec"]["template"]]
    templates += [group["template"] for group in cluster["workerGroupSpecs"]]
    pods = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": each["spec"]}
        for each in templates
    ]
    for part in (config, claim, *pods):
        validate.validate(part, validate.latest_version(), strict=True)
    pods[0]["spec"]["containers"][0]["envs"] = []
    with pytest.raises(validate.ValidationError):
        validate.validate(pods[0], validate.latest_version(), strict=True)


def test_every_figure_is_where_ray_up_looks_for_it(tmp_path: Path) -> None:
    (config,) = documents(tmp_path, "ray-up")
    jsonschema.validate(config, json.loads((files("ray.autoscaler") / "ray-schema.json").read_text()))
    head, node = config["available_node_types"].values()
    assert node["resources"] == {"CPU": 12, "GPU": 3, "memory": 48 * 2**30}
    assert (node["min_workers"], node["max_workers"], config["max_workers"]) == (2, 5, 5)
    assert node["node_config"]["InstanceType"] == "p4d.24xlarge" and head["resources"]["CPU"] == 0
    assert "InstanceMarketOptions" not in node["node_config"]
    assert config["provider"]["region"] == "eu-central-1" and config["docker"]["image"] == CLUSTER["image"]
    assert any("nfs.example.org:/export /data" in each for each in config["initialization_commands"])


def test_machines_of_ray_up_get_their_secrets_in_the_environment_of_ray_alone(tmp_path: Path) -> None:
    """The rendered commands in a shell, with a client of AWS that knows one value a name."""
    (tmp_path / "boto3.py").write_text(
        "import json\n"
        "class client:\n"
        "    def __init__(self, name, region_name):\n"
        "        assert (name, region_name) == ('secretsmanager', 'eu-central-1')\n"
        "    def get_secret_value(self, SecretId):\n"
        "        assert SecretId != 'gone'\n"
        "        keys = ('password', 'secret', 'token')\n"
        "        return {'SecretString': json.dumps({k: f'geheim-{SecretId}-{k}' for k in keys})}\n"
    )
    ray = tmp_path / "ray"
    ray.write_text('#!/bin/bash\nenv > "$SEEN"\necho "$*" > "$SEEN.words"\n')
    ray.chmod(0o755)
    (config,) = documents(tmp_path, "ray-up")
    known = {}
    for part in ("head", "worker"):
        seen = tmp_path / part
        env = {"PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}", "SEEN": str(seen)}
        command = config[f"{part}_start_ray_commands"][-1]
        done = subprocess.run(
            ["bash", "-c", command], env=env | {"PYTHONPATH": str(tmp_path), "RAY_HEAD_IP": "10.0.0.1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 and not done.stdout + done.stderr, done.stderr
        assert "geheim" not in command + seen.with_suffix(".words").read_text()
        known[part] = set(re.findall(r"(\w+)=geheim-", seen.read_text()))
    assert known["head"] == set(CLUSTER["secrets"])
    assert known["worker"] == {"AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN"}
    gone = CLUSTER["secrets"] | {"PGPASSWORD": {"secret": "gone", "key": "password"}}
    (config,) = documents(tmp_path, "ray-up", cluster=CLUSTER | {"secrets": gone})
    started = subprocess.run(["bash", "-c", config["head_start_ray_commands"][-1]], env=env, check=False)
    assert started.returncode != 0, "without its secret a node does not start"


def test_spot_machines_watch_for_their_notice_with_the_secrets_of_ray(tmp_path: Path) -> None:
    """The rendered command in a shell; what it starts lives on when the shell has ended."""
    package = tmp_path / "searcher" / "cluster"
    package.mkdir(parents=True)
    (package / "spot_notice.py").write_text(
        "import os, time\n"
        "with open('watcher.part', 'w') as file:\n"
        "    file.write(f'{os.getpid()} {os.environ[\"RAY_AUTH_TOKEN\"]}')\n"
        "os.rename('watcher.part', 'watcher')\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "boto3.py").write_text(
        "class client:\n"
        "    def __init__(self, name, region_name): pass\n"
        "    def get_secret_value(self, SecretId):\n"
        "        return {'SecretString': '{\"token\": \"geheim\"}'}\n"
    )
    for name, status in (("ray", 0), ("ray-that-fails", 1)):
        (tmp_path / name).write_text(f"#!/bin/bash\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    cluster = CLUSTER | {"secrets": {"RAY_AUTH_TOKEN": {"secret": "ray", "key": "token"}}}
    (config,) = documents(tmp_path, "ray-up", cluster=cluster)
    assert "spot_notice" not in config["worker_start_ray_commands"][-1], "only spot machines are taken away"
    (config,) = documents(tmp_path, "ray-up", cluster=cluster | {"aws": CLUSTER["aws"] | {"spot": True}})
    assert "spot_notice" not in config["head_start_ray_commands"][-1]
    command = config["worker_start_ray_commands"][-1]
    env = {
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_HEAD_IP": "10.0.0.1",
    }
    broken = subprocess.run(
        ["bash", "-c", command.replace("ray start", "ray-that-fails start")],
        cwd=tmp_path,
        env=env,
        check=False,
    )
    assert broken.returncode != 0 and not (tmp_path / "watcher").exists()
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr
    until((tmp_path / "watcher").exists)
    pid, token = (tmp_path / "watcher").read_text().split()
    try:
        assert token == "geheim" and alive(int(pid))
    finally:
        os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize(
    "key", ["nodes", "cpus", "gpus", "memory_gib", "image", "storage", "aws", "storage.nfs", "hours"]
)
def test_a_missing_figure_is_named(tmp_path: Path, key: str) -> None:
    missing = []
    for scheduler, tool in SCHEDULERS.items():
        try:
            render(write(tmp_path, without(key)), scheduler)
        except SettingsError as error:
            assert re.match(
                rf"cluster\.{key} is missing.*{tool.name}.*set it to", str(error).replace("\n", " ")
            )
            missing.append(scheduler)
    needed = {"aws": ["ray-up"], "storage.nfs": ["ray-up"], "hours": ["slurm"]}
    on_machines_of_their_own = ["kuberay", "ray-up"]
    needed |= dict.fromkeys(("image", "storage"), on_machines_of_their_own)
    assert missing == needed.get(key, list(SCHEDULERS))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no cluster": ({"cluster": None}, "cluster is missing.*nodes, cpus"),
    "an unknown key": ({"cluster": CLUSTER | {"gpu": 1}}, r"cluster\.gpu: there is no such setting.*gpus"),
    "an unknown key below": (
        {"cluster": CLUSTER | {"storage": {"pvc": "x"}}},
        r"cluster\.storage\.pvc: there is no such setting.*claim",
    ),
    "a wrong figure": ({"cluster": CLUSTER | {"cpus": "many"}}, r"cluster\.cpus is 'many'"),
    "no room": ({"search": {"cpus_per_trial": 13}}, r"cluster\.cpus is 12, but search\.cpus_per_trial 13"),
    "no GPU": (
        {"cluster": CLUSTER | {"gpus": 0}, "search": {"gpus_per_trial": 0.5}},
        r"cluster\.gpus is 0, but search\.gpus_per_trial 0\.5",
    ),
    "more least nodes": ({"cluster": CLUSTER | {"least_nodes": 6}}, r"least_nodes is 6.*nodes 5"),
    "a folder elsewhere": ({"output": "/home/me/runs"}, "output is /home/me/runs.*not below.*/data"),
    "a relative folder": ({"output": "runs"}, "output is runs.*absolute"),
    "a secret's value": (
        {"cluster": CLUSTER | {"secrets": {"PGPASSWORD": "geheim"}}},
        r"cluster\.secrets.* holds a secret.*where",
    ),
    "a list of values": ({"cluster": CLUSTER | {"secrets": ["geheim"]}}, "secrets.* holds a secret"),
    "a value beside": (
        {"cluster": CLUSTER | {"secrets": {"A": {"secret": "s", "key": "k", "value": "geheim"}}}},
        r"cluster\.secrets\.A\.value: there is no such setting",
    ),
    "a command as an image": ({"cluster": CLUSTER | {"image": "a; b"}}, r"cluster\.image is 'a; b'"),
    "a password": ({"storage": "postgresql://me:geheim@db/x"}, "storage holds a password"),
    "a password behind": ({"storage": "postgresql://me@db/x?password=geheim"}, "storage holds a password"),
    "another scheme": ({"storage": "mysql://me:ge@geheim@db/x"}, r"storage is 'mysql://me:\*\*\*@db/x'"),
    "credentials": ({"checkpoints": "s3://me:geheim@b/x"}, "checkpoints holds a secret.*AWS_SECRET_ACCESS"),
    "keys": ({"checkpoints": "s3://b/x?secret_key=geheim"}, "checkpoints holds a secret.*AWS_SECRET_ACCESS"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_or_would_tell_secrets_is_refused(tmp_path: Path, case: str) -> None:
    changes, told = REFUSED[case]
    for scheduler in ("kuberay", "ray-up"):
        with pytest.raises(SettingsError) as raised:
            render(write(tmp_path, **{"cluster": CLUSTER} | changes), scheduler)
        text = str(raised.value).replace("\n", " ")
        assert re.search(told, text) and "geheim" not in text, text


def test_the_command_says_what_comes_next_and_keeps_what_it_did_not_write(tmp_path: Path) -> None:
    run, settings = CliRunner(), write(tmp_path)
    made = tmp_path / "job.yaml"
    words = ["launch", settings, "--render", "kuberay", "--output", str(made)]
    for _ in range(2):
        told = run.invoke(movinas.app, words)
        assert told.exit_code == 0 and f"next: kubectl apply -f {made}" in told.stdout.replace("\n", "")
    for other in (tmp_path / "notes.txt", Path(settings)):
        other.write_text(other.read_text() if other.exists() else "mine")
        kept = other.read_text()
        refused = run.invoke(movinas.app, [*words[:-1], str(other)])
        assert refused.exit_code != 0 and other.read_text() == kept
        assert "would overwrite" in str(refused.exception)
    assert "give kuberay, ray-up, slurm" in str(run.invoke(movinas.app, [*words[:3], "nomad"]).exception)
