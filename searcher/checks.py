"""What can be known to fail before any work starts."""

from __future__ import annotations

from pathlib import Path

from search_space.errors import SettingsError
from search_space.space import SearchSpace
from searcher.machine import cpus, writable
from searcher.settings import Settings


def check_settings(settings: Settings, space: SearchSpace | None = None) -> SearchSpace:
    """Tries settings on this machine.

    Args:
        settings: to try.
        space: theirs, if its number of classes is known already; by default as its own file says.

    Returns:
        The space.

    Raises:
        SettingsError: names the key, the value and the remedy. SpaceError: the space cannot be used.
    """
    space = space if space is not None else settings.search_space()
    _check_machine(settings)
    _check_folders(settings)
    _check_costs(settings, space)
    return space


def _check_machine(settings: Settings) -> None:
    search = settings.search
    wanted, there = search.workers * search.cpus_per_trial, cpus()
    if wanted > there:
        fitting = there // search.cpus_per_trial
        raise SettingsError(
            f"search.workers is {search.workers} with search.cpus_per_trial {search.cpus_per_trial}:"
            f" {wanted} CPUs, but this machine has {there}",
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
    data = settings.data
    if data.root is not None and not data.root.expanduser().is_dir():
        raise SettingsError(
            f"data.root is {data.root}: there is no such folder", hint="give the folder of videos"
        )
    places: list[tuple[str, Path]] = [("output", settings.run_dir), ("data.cache", data.cache_folder)]
    for key, folder in places:
        if not writable(folder):
            raise SettingsError(
                f"{key}: {folder} cannot be written", hint="choose another folder, or allow writing"
            )


def _check_costs(settings: Settings, space: SearchSpace) -> None:
    low, high = space.macs_range()
    window = settings.search.macs
    span = f"the space goes from {low:.4g} to {high:.4g} multiply-adds"
    named = {"search.macs.low": window.low, "search.macs.high": window.high}
    for key, value in named.items():
        # A file rarely has more than two digits: the ends of the range may be given rounded.
        if value is not None and not low * 0.95 <= value <= high * 1.05:
            raise SettingsError(
                f"{key} is {value:.4g}", hint=f"{span}: leave it out, or choose a value between"
            )
    bottom, top = settings.window(space)
    if bottom >= top:
        raise SettingsError(f"search.macs leaves {bottom:.4g} to {top:.4g}", hint=f"{span}: widen the window")
    for name, budget in (settings.family.budgets or {}).items():
        if not bottom * 0.95 <= budget <= top * 1.05:
            raise SettingsError(
                f"family.budgets.{name} is {budget:.4g}",
                hint=f"candidates have {bottom:.4g} to {top:.4g} multiply-adds: choose a value between",
            )
    if space.cardinality < settings.search.trials:
        raise SettingsError(
            f"search.trials is {settings.search.trials}, but the space holds {space.cardinality} networks",
            hint="lower it, or give the space more choices",
        )
