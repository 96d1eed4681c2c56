"""The supernet of a run: its training as a job, and what its evaluator knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxy_train.fidelity import Fidelity
from proxy_train.supernet.tunas import CONTROLLER
from search_space.errors import RecordError
from search_space.json_files import read_json
from search_space.space.space import SearchSpace
from searcher.evaluator.shared_weights import SupernetSpec
from searcher.plan.job import Job, job_folder
from searcher.settings.settings import Settings

_MOST_MEASURED = 10


def supernet_job(settings: Settings, space: SearchSpace, folder: Path | None = None) -> Job:
    """Return the training of a run's shared weights, measured about ten times for its learning curves.

    Its architecture is the largest network's.

    Args:
        settings: settings of a run with a supernet.
        space: search space with the data set's number of classes.
        folder: folder of checkpoints; by default the run's.
    """
    assert settings.supernet is not None, "asked for only where there is one"
    largest, epochs, seed = space.largest(), settings.supernet.epochs, settings.seed
    run_dir = settings.run_dir.absolute() if folder is None else folder
    clip, weights = largest.input, settings.inherited
    own = job_folder(run_dir, largest.digest, seed, "supernet", epochs=epochs, origin=(weights,))
    between = -(-epochs // _MOST_MEASURED)
    rungs = tuple(range(epochs, 0, -between))[::-1]
    fidelity = Fidelity(epochs, clip.frames, clip.size, weights=weights)
    return Job(largest, fidelity, seed, "supernet", own, rungs=rungs)


def supernet_spec(settings: Settings, classes: int, folder: Path | None = None) -> SupernetSpec | None:
    """Return what the evaluator of a run knows of its supernet; None if the run has none.

    Args:
        settings: settings of the run.
        classes: number of classes of the data set.
        folder: folder of checkpoints; by default the run's, which may be in an object store.
    """
    if settings.supernet is None:
        return None
    space = settings.space.with_classes(classes)
    weights = supernet_job(settings, space, folder).weights
    return SupernetSpec(space, settings.supernet, weights, settings.mirror() if folder is None else None)


def read_policy(job: Job, space: SearchSpace) -> list[list[float]]:
    """Return the policy that a controller has learnt: probabilities of each gene's choices.

    Args:
        job: training of the shared weights, which has ended.
        space: search space.

    Raises:
        RecordError: the file is missing, damaged, or of another space.
    """
    hint = "delete the folder; the supernet is then trained again"
    file = job.folder / CONTROLLER
    content = read_json(file, dict[str, Any], error=RecordError, hint=hint)
    policy = content.get("policy")
    fits = isinstance(policy, list) and [len(row) for row in policy] == [g.choices for g in space.genes]
    if not fits or content.get("genes") != [gene.name for gene in space.genes]:
        raise RecordError(f"{file}: not the policy of this space", hint=hint)
    return [[float(value) for value in row] for row in policy or []]


def fine_tuning_recipe(settings: Settings) -> dict[str, Any]:
    """Return the recipe, in JSON types, of trainings that begin with the shared weights."""
    assert settings.supernet is not None, "asked for only where there is one"
    rate = settings.recipe.learning_rate * settings.supernet.fine_tuning_rate
    return settings.recipe.model_copy(update={"learning_rate": rate}).identity()
