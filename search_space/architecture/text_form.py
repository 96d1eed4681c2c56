"""The one-line text form of an architecture, safe as a file name.

``stream_50x172x5_s8_w8s2-15e24-a_w32s2-33e80-aaa_h480x2048`` reads: stream form; 50 frames of 172 pixels at
5 frames a second; a stem of 8; a stage of width 8 and stride 2 whose one kind of layer, ``a``, has the kernel
1x5x5 and the expansion 24, once; a stage of width 32 with three times the layer 3x3x3 of expansion 80; head
480, hidden 2048.

A stage lists its different layers in the order in which they first occur (``53e184-33e112e184``: 5x3x3 with
184, 3x3x3 with 112, 3x3x3 with 184), then its layers by letter (``abc``). ``n`` after an expansion: no
squeeze-excitation. The form is ``base`` or ``stream``, then what differs from it: ``stream+pe``,
``base+act.relu6``.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import Any, NoReturn

from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Options, Parts, Stage
from search_space.errors import ArchitectureError

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORDS = {"convolution": "conv", "squeeze": "se", "activation": "act", "gate": "gate"}
_FIELDS = {word: name for name, word in _WORDS.items()}

_STEM = re.compile(r"s(\d+)", re.ASCII)
_HEAD = re.compile(r"h(\d+)x(\d+)", re.ASCII)
_STAGE = re.compile(r"w(\d+)s(\d+)((?:-\d\d(?:e\d+n?)+)+)-([a-z]+)", re.ASCII)
_KERNEL = re.compile(r"-(\d)(\d)((?:e\d+n?)+)", re.ASCII)
_EXPANSION = re.compile(r"e(\d+)(n?)", re.ASCII)


def format_parts(parts: Parts) -> str:
    """Return the canonical one-line form."""
    clip = parts["input"]
    return "_".join(
        (
            _format_options(parts["options"]),
            f"{clip.frames}x{clip.size}x{repr(clip.fps).removesuffix('.0')}",
            f"s{parts['stem']}",
            *map(_format_stage, parts["stages"]),
            f"h{parts['head']}x{parts['hidden']}",
        )
    )


def parse_parts(text: str) -> Parts:
    """Read the one-line form.

    Raises:
        ArchitectureError: names the part that cannot be read.
    """
    parts = text.strip().split("_") if isinstance(text, str) else []
    if len(parts) < 5:
        _refuse(str(text), "FORM_FRAMESxSIZExFPS_sSTEM_wWIDTHsSTRIDE-..._hHEADxHIDDEN")
    stem = _STEM.fullmatch(parts[2]) or _refuse(parts[2], "sSTEM, such as s16")
    head = _HEAD.fullmatch(parts[-1]) or _refuse(parts[-1], "hHEADxHIDDEN, such as h640x2048")
    return {
        "stem": int(stem[1]),
        "stages": tuple(_parse_stage(part) for part in parts[3:-1]),
        "head": int(head[1]),
        "hidden": int(head[2]),
        "input": ClipShape.parse(parts[1]),
        "options": _parse_options(parts[0]),
    }


def _format_options(options: Options) -> str:
    reference = STREAM if options.causal else BASE
    words: list[str] = [options.form]
    for name, word in _WORDS.items():
        value = getattr(options, name)
        if value != getattr(reference, name):
            words.append(f"{word}.{value.replace('_', '-')}")
    if options.position_encoding:
        words.append("pe")
    return "+".join(words)


def _parse_options(text: str) -> Options:
    form, *changes = text.split("+")
    if form not in ("base", "stream"):
        _refuse(form, "the form, base or stream")
    reference = STREAM if form == "stream" else BASE
    values: dict[str, Any] = {name: getattr(reference, name) for name in _WORDS}
    position_encoding = False
    for change in changes:
        word, dot, value = change.partition(".")
        if change == "pe":
            position_encoding = True
        elif dot and word in _FIELDS:
            values[_FIELDS[word]] = value.replace("-", "_")
        else:
            _refuse(change, f"pe, or one of {', '.join(_FIELDS)} with a dot and a value")
    return Options(**values, causal=reference.causal, position_encoding=position_encoding)


def _format_stage(stage: Stage) -> str:
    kinds = list(dict.fromkeys(stage.layers))
    letters = dict(zip(kinds, _LETTERS, strict=False))
    table = "".join(
        f"-{kernel.time}{kernel.space}"
        + "".join(f"e{layer.expansion}{'' if layer.squeeze else 'n'}" for layer in group)
        for kernel, group in groupby(kinds, key=lambda layer: layer.kernel)
    )
    return f"w{stage.width}s{stage.stride}{table}-{''.join(letters[layer] for layer in stage.layers)}"


def _parse_stage(text: str) -> Stage:
    match = _STAGE.fullmatch(text) or _refuse(text, "a stage, such as w56s2-53e184-33e112e184-abc")
    kinds = [
        Layer(Kernel(int(time), int(space)), int(expansion), not without)
        for time, space, expansions in _KERNEL.findall(match[3])
        for expansion, without in _EXPANSION.findall(expansions)
    ]
    for letter in match[4]:
        if letter not in _LETTERS[: len(kinds)]:
            raise ArchitectureError(
                f"layer {letter!r} of {text!r} is not among the stage's {len(kinds)} kinds of layer",
                hint=f"letters up to {_LETTERS[min(len(kinds), len(_LETTERS)) - 1]!r} have a meaning here",
            )
    return Stage(int(match[1]), int(match[2]), tuple(kinds[_LETTERS.index(c)] for c in match[4]))


def _refuse(part: str, expected: str) -> NoReturn:
    raise ArchitectureError(
        f"cannot read {part!r} in an architecture's text form", hint=f"expected {expected}"
    )
