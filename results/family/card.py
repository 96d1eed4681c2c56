"""``card.md``: what a member is, how accurate, how expensive, how it was made and how it is run."""

from __future__ import annotations

from pathlib import Path

from results import units
from results.member import RECIPE, Member
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.cost.stopwatch import Latency
from search_space.files import write_text
from searcher.objectives import Score, score_of


def card(
    member: Member,
    *,
    export: Sidecar | None = None,
    latency: Latency | None = None,
    origin: str = "",
    score: Score | None = None,
    running: str = "",
) -> str:
    """Return the card as Markdown.

    Args:
        member: description of the member.
        export: sidecar of its exported step, if there is one.
        latency: time of one frame in PyTorch, if it was measured.
        origin: origin of the network, if a search did not measure it.
        score: score of its run; by default what the member's own metrics tell.
        running: how to run it, where that is not by a member's folder.
    """
    score = score or score_of([member.metrics])
    sections = [
        f"# {member.name}\n\n{_about(member)}" + (f"\n\nIt is {origin}." if origin else ""),
        "## Accuracy\n\n" + _table(_accuracies(member, score)),
        "## Cost\n\n" + _table(_costs(member, export, latency)),
        "## Input\n\n" + _input(member),
        f"## Labels\n\n{len(member.labels)}: " + ", ".join(_plain(label) for label in member.labels),
        "## How it was trained\n\n" + _training(member),
        "## How to run it\n\n" + (running or _running(member, export)),
        "## Limits\n\n" + _limits(member),
    ]
    return "\n\n".join(sections) + "\n"


def write_card(
    folder: Path,
    member: Member,
    *,
    export: Sidecar | None = None,
    latency: Latency | None = None,
    origin: str = "",
    score: Score | None = None,
) -> Path:
    """Write ``card.md`` into ``folder``, and return its path; see :func:`card`."""
    path = folder / "card.md"
    write_text(path, card(member, export=export, latency=latency, origin=origin, score=score))
    return path


def _about(member: Member) -> str:
    form = "streaming (causal)" if member.streams else "base (whole clips)"
    lines = "\n".join(f"    {a.text}" for a in member.architectures)
    if member.parts:
        return (
            f"An ensemble of {' and '.join(member.parts)}, {form}: the mean of their logits.\n\n"
            f"{lines}\n\nDigest `{member.digest}`."
        )
    return f"A mobile video network, {form}.\n\n{lines}\n\nDigest `{member.digest}`."


def _accuracies(member: Member, score: Score) -> list[tuple[str, str]]:
    names = {
        "top1": f"{score.name}, whole clips",
        "top5": f"{score.five}, whole clips",
        "verb_top1": "verb top-1, whole clips",
        "noun_top1": "noun top-1, whole clips",
        "stream_top1": f"{score.name}, frame by frame",
        "stream_top5": f"{score.five}, frame by frame",
        "confirmed_top1": f"{score.name} in the confirmation, mean",
    }
    rows = [
        (words, units.percent(member.metrics[key])) for key, words in names.items() if key in member.metrics
    ]
    if "confirmed_spread" in member.metrics:
        rows.append(("its spread over seeds", f"± {100 * member.metrics['confirmed_spread']:.1f} %"))
    return rows or [(score.name, "not measured")]


def _costs(member: Member, export: Sidecar | None, latency: Latency | None) -> list[tuple[str, str]]:
    rows = [
        ("multiply-adds of a clip", units.count(member.macs)),
        ("multiply-adds of a frame", units.count(member.macs_per_frame)),
        ("parameters", f"{member.parameters:,}"),
    ]
    if member.streams:
        rows.append(("stream state", units.size(member.state_bytes)))
    if latency:
        rows.append(
            (f"a frame in {latency.runtime}, one thread", _times(latency.median, latency.p95)),
        )
    if export:
        rows.append(
            (
                "a frame in ONNX Runtime, one thread",
                _times(export.check.latency_ms, export.check.latency_p95_ms),
            )
        )
    return rows


def _times(median: float, p95: float) -> str:
    return f"{units.milliseconds(median)} (95th percentile {units.milliseconds(p95)})"


def _input(member: Member) -> str:
    clip = member.input
    return (
        f"{clip.frames} frames of {clip.size} x {clip.size} pixels at {clip.fps:g} frames a second, RGB in "
        "[0, 1], no mean subtracted. A picture of another size is resized until its short side fits, and its "
        "centre is cut out."
        + (" Frame by frame it takes videos of any length in constant memory." if member.streams else "")
    )


def _training(member: Member) -> str:
    if not member.weights_sha256:
        return f"Not yet. The recipe is in `{RECIPE}`."
    rows = [(_plain(str(key)), _plain(str(value))) for key, value in member.trained.items()]
    table = _table(rows) + "\n\n" if rows else ""
    programs = ", ".join(f"{name} {version}" for name, version in member.versions.items())
    recipe = (
        f"The whole recipe is in `{RECIPE}`." if not member.parts else "Its parts were trained on their own."
    )
    return f"{table}{recipe} Made with {programs}."


def _running(member: Member, export: Sidecar | None) -> str:
    if not member.weights_sha256:
        return "It has no weights before it is trained: `movinas family RUN --chosen`, with its run's folder."
    if not member.streams:
        return (
            "```python\nfrom pathlib import Path\n\nfrom results import load_member\n\n"
            'model, member = load_member(Path("."))\n'
            "logits = model(clip)  # (batch, 3, frames, height, width)\n```"
        )
    text = (
        "```python\nfrom results import StreamingClassifier\n\n"
        'classifier = StreamingClassifier.open(".")  # this folder\n'
        "for frame in frames:  # (height, width, 3), uint8, RGB\n"
        "    probabilities = classifier.push(frame)\n"
        "print(classifier.top(3))\n```"
    )
    if export:
        text += (
            f"\n\n`{export.file}` is the step for ONNX Runtime; "
            f"`{sidecar_of(Path(export.file)).name}` describes its inputs, outputs and states: "
            "zeros with the first frame, then what `next` names for each. "
            f"Over {export.check.frames} chained frames it differed from PyTorch by "
            f"{export.check.relative:.1e} of the largest logit."
        )
    return text


def _limits(member: Member) -> str:
    limits = [
        f"It knows its {len(member.labels)} labels and nothing else: it always names one of them.",
        "Its accuracy was measured on the evaluation videos of its own data set; other scenes will differ.",
        f"It expects {member.input.fps:g} frames a second; faster or slower, motion looks different to it.",
    ]
    if member.streams:
        limits.append("It averages over the video since its start: reset it where a new scene begins.")
    limits.append("Latency was measured on the machine that made this card.")
    return "\n".join(f"- {limit}" for limit in limits)


def _table(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)])


def _plain(text: str) -> str:
    """Return a label that is not read as Markdown or as a table's edge."""
    for mark in "\\`*_|<>[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())
