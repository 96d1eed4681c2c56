"""What a supernet has to have learnt before a search, or what follows it, rests on it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from proxy_train.evaluation.chance import chance_of
from proxy_train.metric_names import TOP1
from proxy_train.store.prepared_data import PreparedData
from search_space.errors import RecordError, SettingsError
from search_space.json_files import read_json
from searcher.evaluator.watched import watched_name
from searcher.record.records import Records
from searcher.settings.settings import Settings

STUDY = "validity"
"""Name of the folder of a run's study, and of its result without the suffix."""


def check_supernet(settings: Settings) -> None:
    """Refuse a search by a supernet whose study says that it tells no more than the costs.

    A run without a study is not refused.

    Args:
        settings: settings of the run.

    Raises:
        SettingsError: among networks of like cost, the supernet's accuracies agree no better with those of
            trainings than the multiply-adds do.
        RecordError: the study's result is damaged.
    """
    file = settings.run_dir.absolute() / STUDY / f"{STUDY}.json"
    if settings.supernet is None or not file.is_file():
        return
    told, costs = _agreements(file)
    if told is None or (not math.isnan(told) and told > costs):
        return
    raise SettingsError(
        f"{file}: among networks of like cost the supernet ranks as trainings do by tau {told:.2f}, the"
        f" multiply-adds by {costs:.2f}: a search by it would find nothing that costs do not tell",
        hint="train it longer (supernet.epochs) and study it again, or search by short trainings (leave"
        " supernet out)",
    )


def require_learnt(records: Records, store: PreparedData) -> None:
    """Refuse to go on where the shared weights have learnt nothing, or only some networks' part of them.

    Where the validation clips are too few to tell, nothing is refused.

    Args:
        records: record of a run with a trained supernet.
        store: prepared data of one of its clip shapes.

    Raises:
        SettingsError: the accuracy of no network that was watched is more than chance, or not that of most
            candidates.
    """
    chance = chance_of(store)
    if not chance.tells:
        return
    remedy = (
        "train it longer (supernet.epochs), or leave supernet out: short trainings begin with a pilot, which"
        " tells what is wrong; start it under another name, since this record keeps its supernet"
    )
    # Those before the last tell how it learnt.
    for last in records.measurements("supernet")[-1:]:
        # Of a growing supernet, the largest network learns latest.
        watched = [score for name, score in last.metrics.items() if name == TOP1 or watched_name(name)]
        if last.status == "complete" and not any(map(chance.left_by, watched)):
            raise SettingsError(
                f"the supernet has learnt nothing: of the networks that were watched the best reaches"
                f" {max(watched, default=math.nan):.1%}, chance {chance.level:.1%}",
                hint=remedy,
            )
    found = [each.metrics[TOP1] for each in records.measurements("search") if each.status == "complete"]
    learnt = sum(map(chance.left_by, found))
    if learnt < len(found) / 2:
        raise SettingsError(
            f"of {len(found)} candidates only {learnt} do better in the supernet than chance"
            f" ({chance.level:.1%}): their order says nothing",
            hint=remedy,
        )


def _agreements(file: Path) -> tuple[float | None, float]:
    """Return tau at like cost of the supernet, None if the study had none, and of the multiply-adds."""
    damaged = "delete it, and study the supernet again: movinas proxy-validity --cheap supernet"
    content = read_json(file, dict[str, Any], error=RecordError, hint=damaged)
    try:
        if not content["cheap"].get("shared", False):
            return None, 0.0
        ranks = content["agreements"]
        told, costs = (ranks[name]["within"] for name in ("cheap training", "multiply-adds"))
        return float(math.nan if told is None else told), float(0.0 if costs is None else costs)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RecordError(f"{file}: not the result of a study: {error!r}", hint=damaged) from error
