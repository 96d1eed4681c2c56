"""What a user would type next, with names that exist."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from results.export.export import STEP
from results.family.family import Family


def next_commands(run_dir: Path, family: Family | None, video: Path | None = None) -> tuple[str, ...]:
    """Return the commands that a run suggests.

    Args:
        run_dir: folder of the run.
        family: family that was chosen, if any.
        video: a video of the run's data, to stream.
    """
    run_dir = short_path(run_dir)
    if family is None:
        return (f"movinas status {run_dir}", f"movinas family {run_dir}")
    member = run_dir / "family" / family.singles[-1].name
    step = member / STEP.file_name
    return (
        f"movinas stream {step if step.is_file() else member} {short_path(video) if video else 'YOUR_VIDEO'}",
        f"movinas profile {member}",
        f"movinas family {run_dir} --budget A0={family.singles[0].macs}",
        "movinas data check --data YOUR_VIDEOS",
        "movinas search --name mine --data YOUR_VIDEOS --space a0-stream",
    )


def where_to_look(run_dir: Path, commands: Sequence[str]) -> str:
    """Return what a run's folder holds and what to type next, for a terminal."""
    run_dir = short_path(run_dir)
    lines = [
        f"Everything is in {run_dir}:",
        f"  {run_dir}/report.html    all of it on one page",
        f"  {run_dir}/frontier.png   accuracy against multiply-adds",
        f"  {run_dir}/family/        a folder for each network: weights, step.onnx, card.md",
        "What to type next:",
    ]
    return "\n".join([*lines, *(f"  {command}" for command in commands)])


def short_path(path: Path) -> Path:
    """Return a path relative to the working directory, if it lies below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
