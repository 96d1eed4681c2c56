"""Make the table of trained video networks: every network of its space, really trained.

Each of its 1,728 networks is trained on the preset ``graded`` of MovingDigits-16 by the quickstart's recipe,
a quarter of them with a second seed and an eighth with a third one, and measured on the validation clips
after every epoch. Trainings go in an order that is random over the space, so that a part of the table is a
sample of it. What the table has already is not trained again: interrupted, the same command goes on.

    python -m benchmarks.video_table [--work build/video-table] [--workers 2] [--minutes 60]
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

from proxy_train.data.settings import DataSettings
from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement
from proxy_train.recipe import Recipe
from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import compute_cost
from search_space.files import DEFAULT_CACHE, replacing
from search_space.progress import ignore_progress
from search_space.space.space import SearchSpace
from searcher.cluster.capacity import Capacity
from searcher.cluster.cluster import Cluster
from searcher.evaluator.run_data import RunData
from searcher.evaluator.video_evaluator import video_evaluator
from searcher.plan.job import Job, job_folder
from searcher.plan.job_plan import JobPlan
from searcher.record.records import Records
from searcher.simulation.video_table import EPOCHS, SPACE, TABLE

PRESET, RECIPE = "graded", "quickstart"
SECOND_SEED_OF, THIRD_SEED_OF = 4, 8
CHUNK = 48
_KEY = ["digest", "seed"]


def trainings(space: SearchSpace) -> list[tuple[Architecture, int]]:
    """Return every network with its seeds, in an order that is random over the space and always the same."""
    networks = list(space.enumerate())
    wanted = [(architecture, 0) for architecture in networks]
    for seed, share in enumerate((SECOND_SEED_OF, THIRD_SEED_OF), start=1):
        chosen = sorted(networks, key=lambda network: (int(network.digest, 16) % share > 0, network.digest))
        wanted += [(architecture, seed) for architecture in chosen[: math.ceil(len(networks) / share)]]
    # The end of a digest is random over the space.
    return sorted(wanted, key=lambda pair: (pair[0].digest[::-1], pair[1]))


def job(work: Path, architecture: Architecture, seed: int) -> Job:
    """Return a training that is measured after every epoch."""
    fidelity = Fidelity(EPOCHS, architecture.input.frames, architecture.input.size)
    folder = job_folder(work, architecture.digest, seed, "validity")
    return Job(architecture, fidelity, seed, "validity", folder, rungs=tuple(range(1, EPOCHS + 1)))


def rows(space: SearchSpace, measurements: Sequence[Measurement]) -> pd.DataFrame:
    """Return the table's rows of measurements, one an epoch of a training."""
    found = []
    for measurement in measurements:
        if measurement.status != "complete":
            continue
        architecture = Architecture.parse(measurement.architecture)
        choices = zip(space.genes, space.encode(architecture), strict=True)
        cost = compute_cost(architecture, space.classes)
        found.append(
            {gene.name: gene.labels[choice] for gene, choice in choices}
            | {
                "digest": measurement.digest,
                "macs": cost.macs,
                "parameters": cost.parameters,
                "seed": measurement.seed,
                "epoch": measurement.fidelity.epochs,
                "top1": measurement.metrics["top1"],
                "loss": measurement.metrics["loss"],
                "seconds": measurement.seconds,
            }
        )
    return pd.DataFrame(found)


def write(table: pd.DataFrame, path: Path) -> None:
    """Write the table, small types and sorted; below 3 MB."""
    table = table.sort_values(["digest", "seed", "epoch"], ignore_index=True)
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    kinds = dict.fromkeys(texts, "category")
    kinds |= {"seed": "int8", "epoch": "int8", "top1": "float32", "loss": "float32", "seconds": "float32"}
    with replacing(path) as temporary:
        table.astype(kinds).to_parquet(temporary, index=False, compression="zstd")


def whole(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trainings that reached their end."""
    last = table.groupby(_KEY)["epoch"].transform("max") if len(table) else pd.Series(dtype=int)
    return table[last == EPOCHS]


def main() -> None:
    """Train what is missing, chunk by chunk, and write the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/video-table"))
    parser.add_argument("--table", type=Path, default=TABLE, help="table to go on with and to write")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trainings", type=int, default=None, help="how many trainings, the first ones")
    parser.add_argument("--minutes", type=float, default=None, help="begin no chunk after so many minutes")
    options = parser.parse_args()
    started, work = time.monotonic(), options.work.absolute()
    settings = DataSettings.model_validate(
        {"kind": "moving-digits", "preset": PRESET, "cache": options.cache}
    )
    data = RunData.open(
        settings,
        SearchSpace.from_yaml(SPACE),
        workers=options.workers,
        making=ignore_progress,
        preparing=ignore_progress,
    )
    space = SearchSpace.from_yaml(SPACE).with_classes(len(data.classes))
    table = whole(pd.read_parquet(options.table)) if options.table.is_file() else pd.DataFrame()
    known = set() if table.empty else set(table[_KEY].itertuples(index=False, name=None))
    missing = [
        job(work, architecture, seed)
        for architecture, seed in trainings(space)[: options.trainings]
        if (architecture.digest, seed) not in known
    ]
    recipe = Recipe.from_yaml(RECIPE)
    evaluator = video_evaluator(data.paths, recipe, data=settings)
    identity = {"preset": PRESET, "recipe": recipe.model_dump(mode="json"), "epochs": EPOCHS}
    with (
        Records.writing(work, identity | {"space": space.digest}) as records,
        Cluster(Capacity(options.workers)) as cluster,
    ):
        for first in range(0, len(missing), CHUNK):
            if options.minutes is not None and time.monotonic() - started > 60 * options.minutes:
                break
            chunk = missing[first : first + CHUNK]
            plan = JobPlan(records, "validity", space.classes, chunk, workers=options.workers)
            cluster.run(plan, evaluator)
            measured = whole(rows(space, records.measurements("validity")))
            write(pd.concat([table, measured]).drop_duplicates([*_KEY, "epoch"]), options.table)
            for each in chunk:
                _keep_weights_alone(each.folder)
            print(f"{len(missing) - first - len(chunk)} of {len(missing)} trainings are left", flush=True)


def _keep_weights_alone(folder: Path) -> None:
    """Remove a finished training's checkpoint; its weights say that it is done."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "weights.safetensors":
            entry.unlink()


if __name__ == "__main__":
    main()
