"""Networks and genotypes as numbers, for models that learn accuracy from a few measurements."""

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
    """Return the features of a network: clip shape, stem, head, and those of every stage.

    The features of a stage are its width and depth, the mean expansion of its layers, the share of its layers
    with squeeze-excitation, and the share with each kernel. Networks of as many stages have as many features.
    """
    clip = architecture.input
    sizes = (clip.frames, clip.size, clip.fps, architecture.stem, architecture.head, architecture.hidden)
    features = [math.log(size) for size in sizes]
    for stage in architecture.stages:
        features += _stage_features(stage)
    return tuple(features)


def _stage_features(stage: Stage) -> list[float]:
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
    """Return the features of a genotype that has no network, as in a table.

    An ordered gene is its position from 0 to 1, any other is one-hot.
    """
    features = list[float]()
    for gene, value in zip(genes, genotype, strict=True):
        if gene.ordered:
            features.append(value / max(gene.choices - 1, 1))
        else:
            features += np.eye(gene.choices)[value].tolist()
    return tuple(features)
