"""The part of a study whose cheap measure is a supernet: its settings, and the networks measured in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from proxy_train.supernet.settings import SupernetSettings
from search_space.errors import SettingsError
from searcher.evaluator.shared_weights import digest_of
from searcher.plan.job import Job
from searcher.plan.job_plan import JobOutcome
from searcher.settings.settings import Settings
from searcher.standalone.relative_fidelity import RelativeFidelity


def with_supernet(settings: Settings, cheap: RelativeFidelity) -> tuple[Settings, RelativeFidelity]:
    """Return settings that have a supernet, by default the usual one, and the cheap fidelity with its epochs.

    Raises:
        SettingsError: networks would inherit other weights too.
    """
    if settings.weights is not None:
        raise SettingsError(
            f"weights is {settings.weights} in a study of a supernet",
            hint="leave it out: the expensive trainings begin at random",
        )
    supernet = settings.supernet or SupernetSettings()
    return settings.model_copy(update={"supernet": supernet}), replace(cheap, epochs=supernet.epochs)


def measured_by(supernet: JobOutcome, jobs: Sequence[Job]) -> tuple[tuple[Job, ...], float]:
    """Return a study's jobs, every other one of which is measured in a supernet, and the supernet's seconds.

    Args:
        supernet: outcome of the supernet's training.
        jobs: cheap and expensive training of each network in turn.

    Raises:
        SettingsError: the supernet could not be trained.
    """
    if supernet.failed:
        raise SettingsError(
            f"the supernet could not be trained: {supernet.measurement.reason}",
            hint="mend it and run the same command again",
        )
    digest = digest_of(supernet.job.weights)
    cheap = [replace(job, fidelity=replace(job.fidelity, weights=digest)) for job in jobs[::2]]
    pairs = zip(cheap, jobs[1::2], strict=True)
    return tuple(job for pair in pairs for job in pair), supernet.measurement.seconds
