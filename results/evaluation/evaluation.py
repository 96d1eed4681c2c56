"""The evaluation of a network, or of an ensemble, on the videos of a data set, from check to figures."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.evaluation.label_join import LabelJoin, OutputNames, join_labels, require_agreement
from results.evaluation.label_shift import ShiftGuard
from results.evaluation.subject import Subject
from results.provenance import versions
from results.watcher import Watcher
from search_space.errors import DataError, RecordError, SettingsError
from search_space.network.heads import Head
from searcher.cluster.machine import require_device
from searcher.standalone.judged_videos import Assessment, JudgedVideos, Predictions, Views, figures_of
from searcher.standalone.score_record import Scored, ScoreHeader, ScoreRecord
from searcher.standalone.video_scoring import Scoring, score_all

FORMAT = "movinas-evaluation-1"
_SHOWN = 3


@dataclass(frozen=True)
class Evaluation:
    """An evaluation to make.

    Args:
        subjects: network, or networks of an ensemble, whose logits are averaged (paper, section 3.3).
        videos: videos to judge on.
        folder: folder of the scores and of everything that is written; an evaluation that it holds is
            resumed.
        views: views of each video, whose probabilities are averaged.
        names: names of the outputs, in place of the networks' own.
        device: device as torch names it.
        processes: number of processes that work.
        address: address of a Ray cluster that works instead.
    """

    subjects: tuple[Subject, ...]
    videos: JudgedVideos
    folder: Path
    views: Views = field(default_factory=Views)
    names: OutputNames | None = None
    device: str = "cpu"
    processes: int = 1
    address: str | None = None

    def __post_init__(self) -> None:
        if len({subject.source + str(subject.weights) for subject in self.subjects}) < len(self.subjects):
            raise SettingsError("a network is given twice", hint="an ensemble is made of different networks")

        if self.address is None:
            require_device(self.device)

    def join(self) -> LabelJoin:
        """Return the join of the data set's classes with the networks' outputs.

        Raises:
            DataError: names do not fit, contradict a network's own, or the networks of an ensemble have other
                outputs each.
        """
        for subject in self.subjects:
            if self.names is not None and subject.names is not None:
                require_agreement(self.names, subject.names)
        joins = [join_labels(self.videos, self.names or subject.names) for subject in self.subjects]
        if any(join.outputs != joins[0].outputs or join.groups != joins[0].groups for join in joins):
            raise DataError(
                f"{self.subjects[0].name} and {self.subjects[-1].name} have other outputs",
                hint="an ensemble is made of networks with the same outputs in the same order",
            )
        return next((join for join in joins if join.by_name), joins[0])

    def header(self, subject: Subject, head: Head) -> ScoreHeader:
        """Return the identity of a network's scores."""
        dataset, reader = self.videos.dataset, self.videos.reader(subject.clip, self.views, subject.side)
        return ScoreHeader(
            network=subject.network,
            weights=subject.weights_digest,
            runtime=subject.runtime,
            data=dataset.name,
            data_digest=dataset.digest,
            split=self.videos.split,
            videos=len(self.videos.items),
            clip=str(subject.clip),
            side=reader.plan.side,
            views=str(self.views),
            stream=subject.stream,
            outputs=head.groups,
            kind=head.kind,
        )


@dataclass(frozen=True)
class Evaluated:
    """A finished evaluation.

    Args:
        evaluation: evaluation that was made.
        join: join of classes and outputs.
        predictions: predictions for the videos that can be read.
        assessment: every figure with its interval.
        unreadable: reason by identity for each video that cannot be read.
        headers: identity of the scores of each network.
        seconds: seconds of this call.
        scored_now: number of videos that this call scored, of all networks together.
    """

    evaluation: Evaluation
    join: LabelJoin
    predictions: Predictions
    assessment: Assessment
    unreadable: dict[str, str]
    headers: tuple[ScoreHeader, ...]
    seconds: float
    scored_now: int

    def to_json(self) -> dict[str, Any]:
        """Return what ``evaluation.json`` holds."""
        evaluation, assessed = self.evaluation, self.assessment.to_json()
        del assessed["confusion"]
        return {
            "format": FORMAT,
            "networks": [
                {"name": subject.name, "source": subject.source, **asdict(header)}
                for subject, header in zip(evaluation.subjects, self.headers, strict=True)
            ],
            "labels": self.join.note,
            "split": evaluation.videos.split,
            **assessed,
            "unreadable": self.unreadable,
            "missing": [entry.name for entry in evaluation.videos.missing],
            "seconds": round(self.seconds, 3),
            "scored in this call": self.scored_now,
            "hardware": hardware(evaluation.device),
            "versions": versions("torch", "av", "numpy"),
        }

    def text(self) -> str:
        """Return the figures and what they are of, for people."""
        evaluation, videos = self.evaluation, self.evaluation.videos
        names = " + ".join(subject.name for subject in evaluation.subjects)
        clips = " + ".join(dict.fromkeys(str(subject.clip) for subject in evaluation.subjects))
        form = ", frame by frame" if evaluation.subjects[0].stream else ""
        lines = [
            f"{names} on {self.assessment.count} videos of {videos.dataset.name}'s {videos.split} split, "
            f"clips {clips}, views {evaluation.views}{form}",
            f"  {self.join.note}",
        ]
        if self.unreadable:
            shown = "; ".join(list(self.unreadable.values())[:_SHOWN])
            lines.append(f"  {len(self.unreadable)} videos cannot be read and do not count: {shown}")
        if videos.missing:
            lines.append(f"  {len(videos.missing)} annotated videos do not exist and do not count")
        return "\n".join([*lines, self.assessment.text()])


def hardware(device: str) -> dict[str, str | int]:
    """Return what computes here: processor, number of CPUs, device."""
    name = device
    if device.startswith("cuda"):
        import torch

        if torch.cuda.is_available():  # else the machines of a cluster have them
            name = torch.cuda.get_device_name(device)
    return {"machine": platform.machine(), "cpus": os.cpu_count() or 1, "device": name}


def evaluate_network(evaluation: Evaluation, watcher: Watcher) -> Evaluated:
    """Evaluate; what an earlier call has scored is not scored again.

    Raises:
        MovinasError: something that is given does not fit, before work starts; or outputs and labels turn
            out to be shifted.
    """
    began, join = time.monotonic(), evaluation.join()
    head = Head(evaluation.videos.kind, join.groups)
    opened = [subject.opened(head, evaluation.device) for subject in evaluation.subjects]
    for subject in evaluation.subjects:
        # Wrong weights are refused before videos are decoded; the driver of a cluster may have no GPU.
        subject.opened(head)(1, 0)
    headers = tuple(evaluation.header(subject, head) for subject in evaluation.subjects)
    watcher.say(join.note)
    logits, now = [], 0
    for number, (subject, network, header) in enumerate(
        zip(evaluation.subjects, opened, headers, strict=True)
    ):
        folder = evaluation.folder / f"{number}-{subject.name}" if len(opened) > 1 else evaluation.folder
        scoring = Scoring(
            network,
            evaluation.videos.reader(subject.clip, evaluation.views, subject.side),
            head,
            evaluation.processes,
            evaluation.device.startswith("cuda"),
            evaluation.address,
        )
        guard = _Guard(evaluation.videos, join, head)
        with ScoreRecord.open(folder, header) as record, watcher.bar(f"Scoring by {subject.name}") as bar:
            before = len(record.ids)
            for scored in record.scores():
                guard.add(scored)
            score_all(scoring, evaluation.videos.items, record, progress=bar, check=guard.add)
            guard.check()
            now += len(record.ids) - before
            logits.append(_collect(record, evaluation.videos, head))
    scores, unreadable = _joined(logits)
    ids = [item.id for item in evaluation.videos.items if item.id in scores]
    if not ids:
        raise DataError(
            f"no video can be read: {next(iter(unreadable.values()))}", hint="replace those files"
        )
    targets = evaluation.videos.targets(ids, join.outputs, head.outputs)
    predictions, assessment = figures_of(np.stack([scores.pop(name) for name in ids]), targets, head, ids)
    return Evaluated(
        evaluation, join, predictions, assessment, unreadable, headers, time.monotonic() - began, now
    )


Scores = dict[str, NDArray[np.float32] | str]


def _collect(record: ScoreRecord, videos: JudgedVideos, head: Head) -> Scores:
    """Return the logits of every video, or the fault of one that cannot be read."""
    scores: Scores = {
        scored.id: scored.fault if scored.logits is None else scored.logits for scored in record.scores()
    }
    wrong = [name for name, row in scores.items() if not isinstance(row, str) and len(row) != head.outputs]
    if wrong or not scores.keys() >= {item.id for item in videos.items}:
        raise RecordError(
            f"{record.folder}: scores are damaged", hint="remove the folder, and evaluate again"
        )
    return scores


def _joined(scores: Sequence[Scores]) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Return the mean logits of the networks, and the faults of videos that one of them has no scores of."""
    means: dict[str, NDArray[np.float32]] = {}
    faults: dict[str, str] = {}
    for name in scores[0]:
        entries = [part[name] for part in scores]
        rows = [entry for entry in entries if not isinstance(entry, str)]
        if len(rows) == len(entries):
            means[name] = rows[0] if len(rows) == 1 else np.stack(rows).mean(0, dtype=np.float32)
        else:
            faults[name] = next(entry for entry in entries if isinstance(entry, str))
    return means, faults


class _Guard:
    """The guards against shifted labels, one for each group of outputs; several labels a video have none."""

    def __init__(self, videos: JudgedVideos, join: LabelJoin, head: Head) -> None:
        self._videos, self._outputs = videos, join.outputs
        names = {"single-label": ("classes",), "verb-noun": ("verbs", "nouns"), "multi-label": ()}[head.kind]
        starts = [sum(head.groups[:index]) for index in range(len(names))]
        parts = [slice(start, start + size) for start, size in zip(starts, head.groups, strict=False)]
        self._guards = [
            (part, ShiftGuard(join.names[part], group)) for part, group in zip(parts, names, strict=True)
        ]

    def add(self, scored: Scored) -> None:
        """Count the scores of a video."""
        if scored.logits is None or not self._guards:
            return
        labels = self._videos.output_labels(scored.id, self._outputs)
        for (part, guard), label in zip(self._guards, labels, strict=True):
            guard.add(label, int(scored.logits[part].argmax()))

    def check(self) -> None:
        """Look at all videos."""
        for _, guard in self._guards:
            guard.check()
