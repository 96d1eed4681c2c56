"""What a network or a genotype is, as numbers: for models that learn accuracy from a few measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import Stage
from search_space.genes.stage_genes import Gene

_SIDES = (1, 3, 5, 7, 9)
_KERNELS = [(time, space) for time in _SIDES for space in _SIDES]


def architecture_features(architecture: Architecture) -> tuple[float, ...]:
    """Clip shape, stem, head and every stage; so many numbers for all networks with as many stages.

    A stage's are its width and depth, how wide its layers expand on average, the share of its layers with
    squeeze-excitation, and the share of them with each kernel.
    """
    clip = architecture.input
    sizes = (clip.frames, clip.size, clip.fps, architecture.stem, architecture.head, architecture.hidden)
    found = [math.log(size) for size in sizes]
    for stage in architecture.stages:
        found += _stage(stage)
    return tuple(found)


def _stage(stage: Stage) -> list[float]:
    layers = stage.layers
    kernels = [(layer.kernel.time, layer.kernel.space) for layer in layers]
    return [
        math.log(stage.width),
        math.log(len(layers)),
        sum(math.log(layer.expansion / stage.width) for layer in layers) / len(layers),
        sum(layer.squeeze for layer in layers) / len(layers),
        *(kernels.count(kernel) / len(layers) for kernel in _KERNELS),
    ]


def genotype_features(genes: Sequence[Gene], genotype: Sequence[int]) -> tuple[float, ...]:
    """An ordered gene as its place from 0 to 1, any other as one number a choice; for what has no network."""
    found = list[float]()
    for gene, value in zip(genes, genotype, strict=True):
        if gene.ordered:
            found.append(value / max(gene.choices - 1, 1))
        else:
            found += np.eye(gene.choices)[value].tolist()
    return tuple(found)
