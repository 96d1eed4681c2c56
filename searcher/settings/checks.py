"""Checks of settings against this machine, before any work starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proxy_train.training.distillation import Teacher
from proxy_train.training.pretrained import Pretrained
from search_space.cost.latency_table import LatencyTable
from search_space.errors import MovinasError, SettingsError, SpaceError
from search_space.file_kind import obstacle
from search_space.network.sharing.inherited_weights import require_same_form
from search_space.space.space import SearchSpace
from searcher.cluster.address import resolve
from searcher.cluster.checkpoint_mirror import Mirror
from searcher.cluster.machine import cpus
from searcher.cluster.trackers import check_trackers
from searcher.objectives import KNOWN_COSTS
from searcher.plan.seeding import PUBLISHED, named_networks, usable_networks
from searcher.record.storage import check_database
from searcher.settings.settings import Settings
from searcher.strategies.registry import strategy_class
from searcher.strategies.space_domain import SpaceDomain, known_costs

_TRIES, _SAMPLES = 4, 64


def check_settings(
    settings: Settings, space: SearchSpace | None = None, *, address: str | None = None
) -> SearchSpace:
    """Check that a run with these settings can start on this machine.

    Args:
        settings: settings of the run.
        space: the settings' search space with the data set's number of classes, if that is known already; by
            default the space as its own file describes it.
        address: address of the cluster that trains; by default this machine does, and must have the CPUs and
            GPUs that the settings ask for.

    Returns:
        Search space of the run.

    Raises:
        SettingsError: a setting cannot be met; names the key, the value and the remedy.
        SpaceError: the space cannot be used.
        ClusterError: no cluster can be reached at the address.
    """
    has_classes, space = space is not None, space if space is not None else settings.space
    if address is None:
        _check_machine(settings)
    else:
        resolve(address)
    strategy_class(settings.search.strategy)
    _check_folders(settings)
    _check_latency_table(settings, space)
    _check_costs(settings, space)
    _check_states(settings, space)
    _check_seeds(settings, space, has_classes=has_classes)
    _check_trained_networks(settings, space)
    if has_classes:
        # Parameters and bytes depend on the number of classes, which the file of a space need not have.
        _check_windows(settings, space)
    _check_storage(settings)
    check_trackers(settings.trackers)
    if settings.checkpoints is not None:
        Mirror(settings.checkpoints).check()
    return space


def _check_latency_table(settings: Settings, space: SearchSpace) -> None:
    """Check that the table covers the smallest and the largest network, which have the rarest operations."""
    path = settings.search.latency_table
    if path is None:
        return
    try:
        table = LatencyTable.read(path)
        for architecture in (space.smallest(), space.largest()):
            table.predict(architecture)
    except SpaceError as error:
        raise SettingsError(f"search.latency_table: {error.message}", hint=error.hint) from error


def _check_machine(settings: Settings) -> None:
    """Check that this machine has the CPUs and GPUs of all workers."""
    search = settings.search
    needed, available = search.workers * search.cpus_per_trial, cpus()
    if needed > available:
        fitting = available // search.cpus_per_trial
        raise SettingsError(
            f"search.workers is {search.workers} with search.cpus_per_trial {search.cpus_per_trial}:"
            f" {needed} CPUs, but this machine has {available}",
            hint=f"set search.workers to {fitting} or less, or to auto"
            if fitting
            else "lower search.cpus_per_trial",
        )
    if search.gpus_per_trial:
        import torch

        gpus = torch.cuda.device_count()
        if search.workers * search.gpus_per_trial > gpus:
            raise SettingsError(
                f"search.gpus_per_trial is {search.gpus_per_trial:g} for {search.workers} workers,"
                f" but this machine has {gpus} GPUs",
                hint="lower search.workers or search.gpus_per_trial; 0 trains on CPUs",
            )


def _check_folders(settings: Settings) -> None:
    """Check that the folder of videos exists, and that others can be written."""
    data = settings.data
    if data.root is not None and not data.root.expanduser().is_dir():
        raise SettingsError(
            f"data.root is {data.root}: there is no such folder", hint="give the folder of videos"
        )
    written: list[tuple[str, Path]] = [("output", settings.run_dir), ("data.cache", data.cache_folder)]
    for key, folder in written:
        why = obstacle(folder.absolute())
        if why:
            raise SettingsError(
                f"{key}: {folder} cannot be written: {why}", hint="choose another folder, or allow writing"
            )


def _check_costs(settings: Settings, space: SearchSpace) -> None:
    """Check that multiply-adds of window and budgets, and the number of trials, lie within the space."""
    low, high = space.macs_range()
    window = settings.search.macs
    span = f"the space goes from {low:.4g} to {high:.4g} multiply-adds"
    ends = {"search.macs.low": window.low, "search.macs.high": window.high}
    for key, value in ends.items():
        # The ends of the range may be given rounded to two digits.
        if value is not None and not low * 0.95 <= value <= high * 1.05:
            raise SettingsError(
                f"{key} is {value:.4g}", hint=f"{span}: leave it out, or choose a value between"
            )
    bottom, top = settings.window(space)
    if bottom >= top:
        raise SettingsError(f"search.macs leaves {bottom:.4g} to {top:.4g}", hint=f"{span}: widen the window")
    budgets = settings.family.budgets
    for name, budget in ((budgets.macs if budgets else None) or {}).items():
        if not bottom * 0.95 <= budget <= top * 1.05:
            raise SettingsError(
                f"family.budgets.{name} is {budget:.4g}",
                hint=f"candidates have {bottom:.4g} to {top:.4g} multiply-adds: choose a value between",
            )
    if "search.trials" not in settings.open_keys and space.cardinality < settings.search.trials:
        raise SettingsError(
            f"search.trials is {settings.search.trials}, but the space holds {space.cardinality} networks",
            hint="lower it, or give the space more choices",
        )


def _check_states(settings: Settings, space: SearchSpace) -> None:
    """Check that only spaces of stream networks are searched for bytes of state."""
    names_state = "state_bytes" in settings.search.objectives or "state_bytes" in settings.windows(space)
    if names_state and not space.settings.options.causal:
        raise SettingsError(
            "search names state_bytes, but the networks of this space are base networks, which have no state",
            hint="leave it out, or choose a space of stream networks",
        )


def _check_windows(settings: Settings, space: SearchSpace) -> None:
    """Check that a network can be found inside all windows at once."""
    windows = settings.windows(space)
    others = [name for name in windows if name != "macs"]
    if not others:
        return
    domain, rng = SpaceDomain(space, windows, settings.search.objectives), np.random.default_rng(0)
    for _ in range(_TRIES):
        try:
            domain.random(rng, *domain.window)
            return
        except SpaceError:
            continue
    samples = [known_costs(space.sample_at(rng, *domain.window), space.classes) for _ in range(_SAMPLES)]
    spans = [
        f"{name} {min(costs[name] for costs in samples):.3g} to {max(costs[name] for costs in samples):.3g}"
        for name in KNOWN_COSTS
        if name in others
    ]
    raise SettingsError(
        f"search.windows: no network of this space was found inside {', '.join(['macs', *others])} at once",
        hint=f"with such multiply-adds, {_SAMPLES} random networks have {', '.join(spans)}: widen a window",
    )


def _check_seeds(settings: Settings, space: SearchSpace, *, has_classes: bool) -> None:
    """Check that the named networks that the search begins with can be read, and be candidates."""
    if (settings.run_dir / "settings.yaml").is_file():
        # The record of a run that has begun has them; their files may be gone.
        return
    search = settings.search
    named = [entry for entry in search.seeds if entry != PUBLISHED]
    if not has_classes:
        for entry in named:
            named_networks(entry)
    elif named:
        domain = SpaceDomain(space, settings.windows(space), search.objectives)
        for entry in named:
            usable_networks(entry, domain, startup=search.startup)


def _check_trained_networks(settings: Settings, space: SearchSpace) -> None:
    """Check that the recipe suits a search, and that its networks can inherit the weights."""
    recipe = settings.recipe
    if recipe.patience is not None:
        raise SettingsError(
            f"recipe.patience is {recipe.patience}, but a search compares networks after equal epochs",
            hint="leave it out; movinas train stops early",
        )
    recipe.check_weights(given=settings.weights is not None)
    try:
        if settings.weights is not None:
            _, architecture = Pretrained.parse(settings.weights).state()
            for network in (space.smallest(), space.largest()):
                require_same_form(architecture, network)
    except MovinasError as error:
        raise SettingsError(f"weights: {error.message}", hint=error.hint) from error


def check_teacher(settings: Settings, classes: Sequence[str]) -> None:
    """Check that the family's teacher, if there is one, knows the classes of the data.

    Args:
        settings: settings of the run.
        classes: names of the data's classes, by label.

    Raises:
        SettingsError: it knows others, or cannot be read.
    """
    if settings.family.teacher is None:
        return
    try:
        Teacher(Pretrained.parse(settings.family.teacher), classes)
    except MovinasError as error:
        raise SettingsError(f"family.teacher: {error.message}", hint=error.hint) from error


def _check_storage(settings: Settings) -> None:
    if settings.storage is not None:
        check_database(settings.storage)
