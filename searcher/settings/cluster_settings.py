"""The settings of the cluster of a search: resources, image, storage, and where its secrets are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from searcher.settings.values import Count, SettingsModel

TOKEN = "RAY_AUTH_TOKEN"
"""Variable of the token that a Ray cluster asks for; as a secret, it makes the cluster ask."""
_NAME = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
_NO_VALUES = "say where the secret is, {secret: NAME, key: KEY}, never what it is"
Name = Annotated[str, Field(pattern=rf"^{_NAME}$", max_length=253)]
Image = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$", max_length=500)]
Amount = Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)]


class SecretReference(SettingsModel):
    """The place of a secret, never its value: see ``ClusterSettings.secrets``."""

    secret: Name = Field(description="name of the secret of Kubernetes, or of AWS Secrets Manager")
    key: Name = Field(description="key in that secret")
    nodes: Literal["head", "all"] = Field(default="head", description="nodes that get it: head or all")
    optional: bool = Field(default=False, description="whether nodes start without it, too")


class HeadSettings(SettingsModel):
    """The node of the driver, which trains nothing."""

    cpus: Amount = Field(default=2, description="CPUs of the driver's node")
    memory_gib: Amount = Field(default=8, description="memory of the driver's node in GiB")


class StorageSettings(SettingsModel):
    """The file system that all nodes share."""

    path: Path = Field(default=Path("/shared"), description="folder at which every node has it")
    claim: Name = Field(default="movinas-shared", description="KubeRay: claim of the volume")
    gib: Amount | None = Field(
        default=None, description="KubeRay: size of the claim, which is made then, in GiB"
    )
    nfs: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]+:/[A-Za-z0-9._/-]*$",
        description="ray up: NFS file system, such as fs-0123.efs.us-east-1.amazonaws.com:/",
    )

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not re.fullmatch(r"/[A-Za-z0-9._/-]+", str(path)):
            raise ValueError("give an absolute path such as /shared")
        return path


class SlurmSettings(SettingsModel):
    """What Slurm alone needs."""

    partition: Name | None = Field(
        default=None, description="partition of the job; by default the cluster's own"
    )
    account: Name | None = Field(default=None, description="account that pays; by default the user's own")


class AwsSettings(SettingsModel):
    """What ``ray up`` needs to hire machines."""

    region: Name = Field(description="region of the machines, such as us-east-1")
    head: Name = Field(description="type of the driver's machine, such as m6i.2xlarge")
    node: Name = Field(description="type of the machines that train, such as g5.2xlarge")
    spot: bool = Field(default=True, description="whether the machines that train may be taken away")
    disk_gib: Count = Field(default=200, description="disk of every machine in GiB")
    role: str | None = Field(
        default=None,
        pattern=r"^arn:[A-Za-z0-9:/+=,.@_-]+$",
        description="instance profile that may read the secrets and the object store",
    )


class ClusterSettings(SettingsModel):
    """The ``cluster`` part, from which ``movinas launch --render`` writes a scheduler's own files."""

    image: Image | None = Field(default=None, description="container image of every node")
    nodes: Count | None = Field(default=None, description="number of nodes that train, at most")
    least_nodes: Annotated[int, Field(strict=True, ge=0)] = Field(
        default=0, description="number of them that stay while nothing trains"
    )
    cpus: Count | None = Field(default=None, description="CPUs of a node that trains")
    gpus: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        default=None, description="GPUs of a node that trains, 0 for none"
    )
    memory_gib: Amount | None = Field(default=None, description="memory of a node that trains, in GiB")
    hours: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="longest time of the scheduler's job; Slurm's goes on in another job"
    )
    head: HeadSettings = Field(default=HeadSettings())
    storage: StorageSettings | None = Field(default=None, description="file system that all nodes share")
    secrets: dict[str, SecretReference] = Field(
        default={}, description="secrets by environment variable: {PGPASSWORD: {secret: NAME, key: KEY}}"
    )
    slurm: SlurmSettings = Field(default=SlurmSettings())
    aws: AwsSettings | None = Field(default=None, description="machines that ray up hires")

    @field_validator("secrets", mode="before")
    @classmethod
    def _references(cls, secrets: Any) -> Any:
        # Before anything else looks at them, whose messages would show a value.
        references = secrets if isinstance(secrets, Mapping) else {"": secrets}
        for name, reference in references.items():
            if not isinstance(reference, Mapping | SecretReference):
                # Of this kind, messages leave the value out.
                raise PydanticCustomError("secret", _NO_VALUES)
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(name)):
                raise ValueError(f"{name} is not the name of an environment variable")
        return secrets


Cluster = Annotated[
    ClusterSettings | None,
    Field(description="cluster that movinas launch --render writes a scheduler's files for"),
]
