"""Commands over networks and devices: export, profile, stream, latency-table; ``movinas.py`` has them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search_space.errors import SettingsError
from search_space.files import DEFAULT_CACHE

# torch and the runtimes take seconds to load: commands load what they use, so that help is there at once.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from results.export.comparison import LabelledClip
    from results.runtimes.sidecar import Form, Precision

CALIBRATION = 24
LONGEST_NAME = 200
DEFAULT_RUNTIME, WEB = "onnx", "onnxruntime-web"


def export(
    member: Annotated[Path, typer.Argument(help="A member's folder, such as runs/NAME/family/A2.")],
    video: Annotated[Path, typer.Argument(help="A real video that the export is compared on.")],
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="Runtime: onnx, for many (default), onnxruntime, onnxruntime-web, openvino, opencv, ncnn, "
            "torch.export, litert, executorch; repeat."
        ),
    ] = None,
    form: Annotated[str, typer.Option(help="step: frame by frame; clip: whole clips.")] = "step",
    int8: Annotated[bool, typer.Option("--int8", help="8-bit weights and activations.")] = False,
    float16: Annotated[
        bool, typer.Option("--float16", help="Weights in 16 bits: half the file, computed in float32.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="Calibrate int8 on this data set, and measure the export's accuracy on it."),
    ] = None,
    most_lost: Annotated[
        float | None,
        typer.Option(
            min=0, help="Points of top-1 that fewer bits may lose on --data (0.5); else no file is written."
        ),
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Largest number of its videos.")] = 200,
    cache: Annotated[Path, typer.Option(help="Folder of data that was made before.")] = DEFAULT_CACHE,
    streams: Annotated[
        int, typer.Option(min=1, help="Number of videos that a call of the step takes a frame each of.")
    ] = 1,
    page: Annotated[
        Path | None,
        typer.Option(help="With --runtime onnxruntime-web: write a page that runs it in a browser here."),
    ] = None,
) -> None:
    """Export a network for a runtime, if it computes there what it computes in PyTorch."""
    from results.browser.browser_page import write_browser_page
    from results.commands.written_files import require_folder
    from results.export.export import (
        MOST_LOST,
        ExportClips,
        ExportTarget,
        export_network,
        frames_compared,
    )
    from results.member import load_member
    from searcher.evaluator.pictures import example_clip, labelled_clips

    wanted, precision = _form(form), _precision(int8=int8, float16=float16)
    if most_lost is not None and (data is None or precision == "float32"):
        raise SettingsError(f"--most-lost {most_lost:g}", hint="give it with --data and --int8 or --float16")
    lost = MOST_LOST if most_lost is None else most_lost / 100
    targets = [
        ExportTarget(name, wanted, precision, streams=streams, most_lost=lost)
        for name in runtime or [DEFAULT_RUNTIME]
    ]
    if page is not None:
        _require_page(page, runtime or [], wanted, streams)
    for target in targets:
        target.require_possible()
    model, description = load_member(member)
    require_folder(member, option="MEMBER")
    evaluation: list[LabelledClip] = []
    calibration: list[NDArray[np.uint8]] = []
    calibrates = any(target.calibrates for target in targets)
    if data:
        clips_of = partial(labelled_clips, data, cache.expanduser(), description.input, description.labels)
        evaluation = list(clips_of("evaluation", clips))
        calibration = [pictures for pictures, _ in clips_of("train", CALIBRATION)] if calibrates else []
    elif calibrates:
        typer.echo("calibrated on this one video; give --data to calibrate on training videos", err=True)
    example = example_clip(video, description.input, frames_compared(wanted, description.input))
    for target in targets:
        exported = export_network(
            model,
            member,
            example,
            name=description.name,
            labels=description.labels,
            target=target,
            accuracy=description.metrics,
            clips=ExportClips(calibration, evaluation),
        )
        typer.echo(exported.text())
        if page is not None and target.runtime == WEB:
            assert exported.path is not None, "it raises when there is none"
            typer.echo(f"{write_browser_page(exported.path, page)}: any web server shows it, such as")
            typer.echo(f"  python -m http.server --directory {shlex.quote(str(page))}")


def _require_page(page: Path, runtimes: Sequence[str], form: Form, streams: int) -> None:
    """Refuse a page of what no browser runs, and a folder that holds something else."""
    from results.browser.browser_page import PAGE_FILES, is_page_file
    from results.commands.written_files import require_files

    if WEB not in runtimes or form != "step" or streams != 1:
        raise SettingsError(
            f"--page {page}", hint=f"give it with --runtime {WEB}, and without --form clip and --streams"
        )
    require_files(page, PAGE_FILES, own=is_page_file, option="--page")


def _form(text: str) -> Form:
    forms: dict[str, Form] = {"step": "step", "clip": "clip"}
    if text in forms:
        return forms[text]
    raise SettingsError(f"--form {text!r}", hint="write step or clip")


def _precision(*, int8: bool, float16: bool = False) -> Precision:
    if int8 and float16:
        raise SettingsError("--int8 and --float16", hint="give one of the two")
    return "int8" if int8 else "float16" if float16 else "float32"


def profile(
    network: Annotated[str, typer.Argument(help="Architecture, published name, member's folder, export.")],
    classes: Annotated[int, typer.Option(min=1, help="Number of classes.")] = 600,
    fvcore: Annotated[bool, typer.Option(help="Count with fvcore too, which takes seconds.")] = True,
    frames: Annotated[int, typer.Option(min=0, help="Number of steps to time; 0 times none.")] = 50,
    runtime: Annotated[
        str, typer.Option(help="Runtime to time in: pytorch, or one that exports are for.")
    ] = "pytorch",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    int8: Annotated[bool, typer.Option("--int8", help="Time an 8-bit export.")] = False,
) -> None:
    """Show a network's costs: closed form beside fvcore's count, time of a frame, memory in a runtime."""
    from results.commands.terminal import Terminal
    from results.profiling.step_profile import Subject, profile_step
    from results.text.costs import costs_text, fvcore_table

    subject, terminal = Subject.of(network, classes), Terminal()
    for architecture in subject.architectures:
        terminal.say(costs_text(architecture, subject.classes))
    if frames and subject.streams:
        terminal.say(profile_step(subject, frames, runtime, threads, _precision(int8=int8)).text())
    for architecture in subject.architectures if fvcore else ():
        terminal.say(fvcore_table(architecture, subject.classes))


def stream(
    model: Annotated[Path, typer.Argument(help="A member's folder, or an exported step.")],
    videos: Annotated[
        list[str],
        typer.Argument(
            help="A video file, camera or camera:1, an address such as rtsp://HOST/PATH, or - for a pipe; "
            "or several, which are watched side by side.",
            metavar="VIDEO...",
        ),
    ],
    top: Annotated[int, typer.Option(min=1, help="Number of labels to show.")] = 3,
    lines: Annotated[bool, typer.Option("--json", help="One JSON object a frame.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write an annotated video, such as out.mp4.")] = None,
    font: Annotated[
        Path | None, typer.Option(help="Font for labels in the annotated video, such as one of Chinese.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
) -> None:
    """Classify videos frame by frame, in constant memory, and print after each frame what it shows."""
    if len(videos) > 1:
        _stream_many(model, videos, top, lines=lines, threads=threads, unused=output or font)
        return
    (video,) = videos
    from results.commands.written_files import require_file, require_unread
    from results.inference.annotated_video import annotated_video, is_annotated_video
    from results.inference.label_pen import LabelPen
    from results.inference.streaming import StreamingClassifier
    from results.inference.watching import watch
    from searcher.evaluator.pictures import pictures

    if font is not None and output is None:
        raise SettingsError(f"--font {font} without --output", hint="it is for labels in the annotated video")
    if output is not None:
        # Standard input may be a file that a shell has opened.
        watched = Path("/dev/stdin" if video == "-" else video)
        read = [watched, model] if font is None else [watched, model, font]
        require_unread(output, read, option="--output")
        require_file(output, option="--output", own=is_annotated_video)
    classifier = StreamingClassifier.open(model, threads=threads)
    fit = classifier.preprocessing
    source = pictures(video, fit.fps, fit.size)
    shown = min(top, len(classifier.labels))
    pen = LabelPen(classifier.labels, font) if output else None
    if pen is not None and pen.note:
        typer.echo(pen.note, err=True)
    with annotated_video(output, fit.fps, shown, pen) if output else nullcontext() as written:
        for seen in watch(classifier, source, top):
            typer.echo(seen.json() if lines else seen.text())
            if written is not None:
                written.add(seen.picture, seen.heading, seen.top)


def _stream_many(
    model: Path, videos: Sequence[str], top: int, *, lines: bool, threads: int, unused: Path | None
) -> None:
    """Classify several videos side by side, as many in a call as the network takes."""
    from results.fonts import one_line
    from results.inference.many_streams import ManyStreams
    from results.inference.watching import watch_many
    from searcher.evaluator.pictures import pictures

    if unused is not None:
        raise SettingsError(
            f"{unused} with {len(videos)} videos", hint="--output and --font are for a single video"
        )
    streams = ManyStreams.open(model, threads=threads, streams=len(videos))
    fit = streams.preprocessing
    sources = [(video, pictures(video, fit.fps, fit.size)) for video in videos]
    for video, seen in watch_many(streams, sources, min(top, len(streams.labels))):
        typer.echo(seen.json(video=video) if lines else f"{one_line(video, LONGEST_NAME)}  {seen.text()}")


def latency_table(
    space: Annotated[str, typer.Argument(help="A space of stream networks: a preset's name or a YAML file.")],
    output: Annotated[
        Path | None,
        typer.Option(help="File of the table, resumed if it exists (default: SPACE-RUNTIME.json)."),
    ] = None,
    runtime: Annotated[
        str, typer.Option(help="Runtime to time in: pytorch, or one that exports are for.")
    ] = "pytorch",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Number of classes (default: the space's).")
    ] = None,
    networks: Annotated[
        int, typer.Option(min=2, help="Number of whole networks that the error is measured on.")
    ] = 50,
) -> None:
    """Time every operation of a space here, so that a frame's latency is known without building networks."""
    from results.commands.terminal import Terminal
    from results.commands.written_files import require_file, require_unread
    from results.profiling.build_latency_table import TimingEffort, build_table
    from search_space.cost.latency_table import is_table
    from search_space.space.space import SearchSpace

    path = output or Path(f"{Path(space).stem}-{runtime}.json")
    require_unread(path, [Path(space)], option="--output")
    require_file(path, option="--output", own=is_table)
    chosen, terminal = SearchSpace.from_yaml(space), Terminal()
    chosen = chosen if classes is None else chosen.with_classes(classes)
    with terminal.bar("Timing operations") as operations, terminal.bar("Timing networks") as whole:
        table = build_table(
            chosen,
            path,
            runtime=runtime,
            threads=threads,
            effort=TimingEffort(held_out=networks),
            operations=operations,
            networks=whole,
        )
    terminal.say(f"{path}: {table.text()}")
