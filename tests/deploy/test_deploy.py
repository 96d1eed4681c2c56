"""The files for clusters, as far as they can be tried without one: schemas, commands, paths, secrets."""

from __future__ import annotations

import json
import re
import shlex
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import jsonschema
import pytest
import yaml

from searcher.run.scheduler_files import SCHEDULERS, render
from searcher.settings.reading import load_settings
from tests.deploy.deploy_files import DEPLOY, check_command

# The fields of RayJob's spec in ray.io/v1 (KubeRay 1.4, ray-operator/apis/ray/v1/rayjob_types.go).
RAYJOB_FIELDS = {
    *("activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint"),
    *("entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata"),
    *("rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "submitterConfig"),
    *("submitterPodTemplate", "suspend", "ttlSecondsAfterFinished"),
}


def documents(name: str) -> list[dict[str, Any]]:
    """The parts of a YAML file."""
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_files_are_what_rendering_makes_of_the_settings(scheduler: str) -> None:
    name = SCHEDULERS[scheduler].file
    assert (DEPLOY / name).read_text(encoding="utf-8") == render(str(DEPLOY / "settings.yaml"), scheduler)


def test_the_rayjob_is_whole_and_its_parts_name_each_other() -> None:
    config, claim, job = documents("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert set(spec) <= RAYJOB_FIELDS and spec["backoffLimit"] >= 1 and spec["shutdownAfterJobFinishes"]
    assert check_command(shlex.split(spec["entrypoint"]))["address"] == "auto"
    cluster = spec["rayClusterSpec"]
    assert cluster["rayVersion"] == version("ray")
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0", "the head trains nothing"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
            env = {each["name"]: each for each in container["env"]}
            assert env["RAY_AUTH_MODE"]["value"] == "disabled"
            command = container["lifecycle"]["preStop"]["exec"]["command"]
            assert find_spec(command[2]) and 0 < float(command[3]) < pod["terminationGracePeriodSeconds"]
        assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    mounts = {each["mountPath"] for each in head["containers"][0]["volumeMounts"]}
    settings = yaml.safe_load(config["data"]["settings.yaml"])
    written = yaml.safe_load((DEPLOY / "settings.yaml").read_text(encoding="utf-8"))
    assert settings == {key: value for key, value in written.items() if key != "cluster"}
    for path in (settings["output"], settings["data"]["root"], settings["data"]["cache"]):
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path
    volumes = {volume["name"]: volume for volume in head["volumes"]}
    assert "/etc/movinas" in mounts and volumes["settings"]["configMap"]["name"] == config["metadata"]["name"]


def test_passwords_come_from_a_secret_and_only_the_head_has_them() -> None:
    groups = documents("rayjob.yaml")[2]["spec"]["rayClusterSpec"]
    env = groups["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]
    password = next(each for each in env if each["name"] == "PGPASSWORD")
    assert set(password) == {"name", "valueFrom"} and "secretKeyRef" in password["valueFrom"]
    for group in groups["workerGroupSpecs"]:
        assert "PGPASSWORD" not in json.dumps(group)
    for path in DEPLOY.iterdir():
        assert not re.search(
            r"PGPASSWORD[=:]\s*[^\s${]|://[^/\s:@]+:[^/\s@]+@", path.read_text(encoding="utf-8")
        ), path


def test_the_settings_for_clusters_are_settings() -> None:
    settings = load_settings(DEPLOY / "settings.yaml")
    assert settings.search.elastic and settings.output.is_absolute()


def test_the_cloud_cluster_fits_rays_schema_and_its_commands_make_sense() -> None:
    (config,) = documents("ray-up.yaml")
    schema = json.loads((files("ray.autoscaler") / "ray-schema.json").read_text())
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(config | {"max_wrokers": 3}, schema)
    assert config["head_node_type"] in config["available_node_types"]
    assert config["available_node_types"]["head"]["resources"]["CPU"] == 0, "the head trains nothing"
    assert any("--autoscaling-config" in command for command in config["head_start_ray_commands"])
    assert any("--address=$RAY_HEAD_IP" in command for command in config["worker_start_ray_commands"])
    mounted = " ".join(config["docker"]["run_options"])
    assert "/shared:/shared" in mounted and ":/cache" in mounted and "RAY_AUTH_MODE" in mounted


def test_the_image_installs_what_the_project_says() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert "--constraint constraints.txt" in text and ".[cluster,postgresql]" in text
    root = DEPLOY.parent
    for line in text.splitlines():
        if line.startswith("COPY "):
            assert all((root / name).exists() for name in line.split()[1:-1]), line
    extras = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert "\ncluster = [" in extras and "\npostgresql = [" in extras


@pytest.mark.parametrize("name", ["rayjob.yaml", "ray-up.yaml", "slurm.sh"])
def test_every_file_says_where_things_live(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    said = text.partition("Where things live:")[2][:800]
    assert all(word in said for word in ("videos", "record", "checkpoints", "decoded videos", "PostgreSQL"))
