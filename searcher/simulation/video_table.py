"""The table of trained video networks: 1,728 small networks, each really trained on videos.

``benchmarks/video_table.py`` makes it. Every network of ``video_table.yaml`` was trained for eight epochs, a
quarter of them with a second seed and an eighth with a third one, and measured after every epoch. Short
trainings differ between seeds, so that the best rows of the table are the luckiest too: what a network is
worth is estimated from all rows together (``network_logits``).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from search_space.errors import SettingsError
from search_space.genes.stage_genes import Gene
from search_space.space.space import SearchSpace
from searcher.reliability import accuracy_logits, logit_accuracies
from searcher.simulation.table import Table

Floats = NDArray[np.float64]

SPACE = Path(__file__).with_suffix(".yaml")
TABLE = Path(__file__).with_suffix(".parquet")
EPOCHS = 8
REDUCTION = 3
_PENALTIES = np.geomspace(1e-2, 1e4, 61)


def read_video_table(path: Path = TABLE) -> pd.DataFrame:
    """Return the table, a row for each epoch of each training.

    Columns are the genes of the space; ``digest``, ``macs`` (a clip) and ``parameters`` of the network;
    ``seed`` and ``epoch`` of the training; ``top1`` (a fraction) and ``loss`` on the validation clips;
    ``seconds`` of the training so far, on one thread of a machine that others used too.

    Raises:
        SettingsError: there is no such file.
    """
    if not path.is_file():
        raise SettingsError(
            f"{path}: the table of trained video networks is not there",
            hint="make it: python -m benchmarks.video_table",
        )
    return pd.read_parquet(path)


@lru_cache(maxsize=4)
def video_table(rungs: int | tuple[int, ...] = 1, path: Path = TABLE) -> Table:
    """Return the table as a problem to search: accuracy against multiply-adds.

    A measurement is one training of a network, after as many epochs as the rung says; scores are by the
    estimated worth of networks.

    Args:
        rungs: number of rungs, each with a third of the epochs of the one above; or the epochs of each.
        path: file of the table.

    Raises:
        SettingsError: there is no such file, or the table has too few epochs for the rungs.
    """
    if isinstance(rungs, int):
        ladder = tuple(round(EPOCHS / REDUCTION**left) for left in reversed(range(rungs)))
    else:
        ladder = rungs
    if sorted(set(ladder)) != list(ladder) or not ladder or ladder[0] < 1 or ladder[-1] > EPOCHS:
        raise SettingsError(
            f"the table of video networks has {EPOCHS} epochs, too few for {rungs} rungs",
            hint="use 1 to 3 rungs",
        )
    rows = read_video_table(path)
    genes = tuple(SearchSpace.from_yaml(SPACE).genes)
    networks = rows.drop_duplicates("digest")
    genotypes = _genotypes(networks, genes)
    place = pd.Series(np.arange(len(networks)), index=networks["digest"].astype(str))
    repeats = int(rows["seed"].max()) + 1
    accuracy = np.full((len(networks), EPOCHS, repeats), np.nan)
    seconds = np.full_like(accuracy, np.nan)
    at = place[rows["digest"].astype(str)].to_numpy(), rows["epoch"].to_numpy() - 1, rows["seed"].to_numpy()
    accuracy[at], seconds[at] = rows["top1"], rows["seconds"]
    kept = [epochs - 1 for epochs in ladder]
    macs = networks["macs"].to_numpy(dtype=np.float64)
    return Table(
        name="trained video networks",
        genes=genes,
        genotypes=genotypes,
        digests=list(place.index),
        objectives=("accuracy", "macs"),
        primary=macs,
        accuracy=accuracy[:, kept],
        costs=macs[:, None],
        known=(True,),
        seconds=np.nanmean(seconds, axis=2)[:, kept],
        worth=logit_accuracies(network_logits(genotypes, genes, accuracy_logits(accuracy[:, -1]))),
    )


def network_logits(genotypes: NDArray[np.int64], genes: tuple[Gene, ...], logits: Floats) -> Floats:
    """Estimate what each network is worth without its seeds' luck: the best linear unbiased prediction.

    A network's logit is a ridge regression on its genes and on all pairs of them, whose penalty is chosen by
    generalised cross-validation, and a part of its own; trainings differ by their seeds (Searle, Casella and
    McCulloch 1992, chapter 7). The variance of the seeds comes from networks that were trained several times,
    that of the own parts from what the regression leaves.

    Args:
        genotypes: genotype of each network, shape (n, genes).
        genes: the genes.
        logits: logit of the accuracy of each training, shape (n, repeats); NaN where missing.

    Returns:
        A logit for each network, shape (n,).
    """
    counts = np.isfinite(logits).sum(axis=1)
    means = np.nanmean(logits, axis=1)
    within = np.nansum((logits - means[:, None]) ** 2)
    noise = within / max(int((counts - 1).sum()), 1)
    fitted, freedom = _ridge(_features(genotypes, genes), means, counts.astype(np.float64))
    left = means - fitted
    # Residuals have the variance of the own parts and of the seeds, less what the regression followed.
    remaining = float((left**2).sum()) / max(len(means) - freedom, 1.0)
    own = max(remaining - noise * float(np.mean(1 / counts)), 0.0)
    share = own / (own + noise / counts) if own > 0 else np.zeros(len(means))
    worth: Floats = fitted + share * left
    return worth


def _features(genotypes: NDArray[np.int64], genes: tuple[Gene, ...]) -> Floats:
    """Return indicators of every choice and of every pair of choices, shape (n, features)."""
    single = [genotypes[:, place, None] == np.arange(gene.choices) for place, gene in enumerate(genes)]
    pairs = [
        (one[:, :, None] & other[:, None]).reshape(len(genotypes), -1)
        for one, other in combinations(single, 2)
    ]
    return np.column_stack([*single, *pairs]).astype(np.float64)


def _ridge(features: Floats, targets: Floats, weights: Floats) -> tuple[Floats, float]:
    """Return the fitted values of the weighted ridge regression of the least generalised cross-validation
    error, and the degrees of freedom that it spends."""
    root = np.sqrt(weights)
    middle = np.average(targets, weights=weights)
    left, singular, _ = np.linalg.svd(features * root[:, None], full_matrices=False)
    answer = (targets - middle) * root
    along = left.T @ answer
    best: tuple[float, Floats, float] | None = None
    for penalty in _PENALTIES:
        shrink = singular**2 / (singular**2 + penalty)
        fitted = left @ (shrink * along)
        freedom = 1 + float(shrink.sum())
        error = float(((answer - fitted) ** 2).sum()) / (1 - min(freedom / len(targets), 0.999)) ** 2
        if best is None or error < best[0]:
            best = error, middle + fitted / root, freedom
    assert best is not None
    return best[1], best[2]


def _genotypes(networks: pd.DataFrame, genes: tuple[Gene, ...]) -> NDArray[np.int64]:
    """Return the positions of each network's choices, shape (n, genes)."""
    columns = [networks[gene.name].astype(str).map(gene.labels.index).to_numpy() for gene in genes]
    return np.column_stack(columns).astype(np.int64)
