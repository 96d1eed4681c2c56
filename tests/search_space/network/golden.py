"""The recorded outputs of the official implementation, and networks with its weights."""

from __future__ import annotations

import functools
import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from search_space.architecture.published import published
from search_space.network.model import MoViNet, build
from search_space.network.official_weights import load_official

GOLDEN = Path(__file__).parents[1] / "golden"


TOLERANCE = 1e-5  # of the largest logit; float32 rounding gives 2e-6


@functools.cache
def recorded(name: str) -> dict[str, Any]:
    with gzip.open(GOLDEN / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def variable(name: str, shape: list[int]) -> npt.NDArray[np.float32]:
    """A variable's value, from nothing but its name and shape."""
    z = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape)
    last = name.rpartition("/")[2].partition("#")[0]
    if last == "moving_variance":
        z = 1 + 0.25 * np.tanh(z)
    elif last == "gamma":
        z = 1 + 0.1 * z
    elif last == "scale":
        z = 0.5 + 0.1 * z
    elif last == "kernel":
        z = z * math.sqrt(2 / math.prod(shape[:-1]))
    elif last == "depthwise_kernel":
        z = z * math.sqrt(2 / math.prod(shape[:2]))
    else:
        assert last in {"moving_mean", "beta", "bias"}
        z = 0.1 * z
    return np.asarray(z, dtype=np.float32)


@functools.cache
def network(name: str) -> MoViNet:
    model = build(published(name.replace("_", "-")), 600).eval()
    load_official(model, {name: variable(name, shape) for name, shape in recorded(name)["variables"]})
    return model


def clip(name: str) -> Tensor:
    golden = recorded(name)
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(b"input")))
    values = generator.random((1, golden["frames"], golden["size"], golden["size"], 3)).astype(np.float32)
    return torch.from_numpy(values).permute(0, 4, 1, 2, 3)


def error(logits: Tensor, expected: list[float]) -> float:
    target = torch.tensor(expected)
    return float((logits[0] - target).abs().max() / target.abs().max())
