"""Architectures: validation, canonical equality, and the text and JSON forms."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import BASE, STREAM, ClipShape, Kernel, Layer, Options, Stage
from search_space.architecture.published import PUBLISHED
from search_space.errors import ArchitectureError

_CHANNELS = st.integers(1, 4096)
_KERNELS = st.builds(Kernel, st.sampled_from([1, 3, 5, 7, 9]), st.sampled_from([1, 3, 5, 7, 9]))
_LAYERS = st.builds(Layer, _KERNELS, _CHANNELS, st.booleans())
_STAGES = st.builds(
    Stage, _CHANNELS, st.sampled_from([1, 2]), st.lists(_LAYERS, min_size=1, max_size=26).map(tuple)
)
_CLIPS = st.builds(
    ClipShape, st.integers(1, 500), st.integers(1, 1024), st.floats(0.001, 1000, allow_nan=False)
)
_OPTIONS = st.builds(
    Options,
    st.sampled_from(["3d", "2plus1d", "3d_2plus1d"]),
    st.sampled_from(["3d", "2d", "2plus3d", "none"]),
    st.sampled_from(["swish", "hard_swish", "relu", "relu6"]),
    st.sampled_from(["sigmoid", "hard_sigmoid", "hard_sigmoid_keras"]),
    st.booleans(),
)
ARCHITECTURES = st.builds(
    Architecture,
    _CHANNELS,
    st.lists(_STAGES, min_size=1, max_size=6).map(tuple),
    _CHANNELS,
    _CHANNELS,
    _CLIPS,
    _OPTIONS | st.just(replace(STREAM, position_encoding=True)),
)


@given(ARCHITECTURES)
def test_text_and_json_round_trip(architecture: Architecture) -> None:
    text = architecture.text
    assert re.fullmatch(r"[A-Za-z0-9._+-]+", text)
    assert Architecture.parse(text) == architecture
    assert Architecture.parse(text).text == text
    data = json.loads(json.dumps(architecture.to_json()))
    assert Architecture.from_json(data) == architecture
    assert Architecture.from_json(data).digest == architecture.digest
    assert pickle.loads(pickle.dumps(architecture)) == architecture


@given(ARCHITECTURES, ARCHITECTURES)
def test_digest_and_text_tell_architectures_apart(one: Architecture, other: Architecture) -> None:
    assert (one == other) == (one.digest == other.digest) == (one.text == other.text)


def test_digest_covers_input_and_options() -> None:
    a0 = PUBLISHED["A0-base"]
    others = [
        a0.with_input(replace(a0.input, frames=49)),
        a0.with_input(replace(a0.input, size=171)),
        a0.with_input(replace(a0.input, fps=6)),
        a0.with_options(STREAM),
        a0.with_options(replace(BASE, activation="relu6")),
    ]
    assert len({a.digest for a in (a0, *others)}) == 6
    assert re.fullmatch(r"[0-9a-f]{16}", a0.digest)


def test_digest_is_the_same_in_every_process() -> None:
    assert PUBLISHED["A0-base"].digest == "9db794c890499d61"


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_text_fits_a_file_name(name: str) -> None:
    assert len(PUBLISHED[name].text) + len(".safetensors") <= 255


def test_without_squeeze_excitation_there_is_one_form() -> None:
    a0 = PUBLISHED["A0-stream"]
    bare = tuple(
        replace(stage, layers=tuple(replace(layer, squeeze=False) for layer in stage.layers))
        for stage in a0.stages
    )
    by_layers = replace(a0, stages=bare)
    by_option = a0.with_options(replace(STREAM, squeeze="none"))
    by_gate = by_option.with_options(replace(STREAM, squeeze="none", gate="hard_sigmoid_keras"))
    assert by_layers == by_option == by_gate
    assert by_layers.digest == by_option.digest == by_gate.digest
    assert by_layers.options.squeeze == "none"
    assert not any(layer.squeeze for layer in by_layers.layers)


def test_integral_fps_may_be_written_as_int() -> None:
    assert ClipShape(8, 64, 5) == ClipShape(8, 64, 5.0)
    assert PUBLISHED["A0-base"].with_input(ClipShape(50, 172, 5)).digest == PUBLISHED["A0-base"].digest


@pytest.mark.parametrize("sizes", [(2, 3), (3, 4), (0, 3), (11, 3), (3, 11), (-1, 1)])
def test_kernels_that_cannot_be_built(sizes: tuple[int, int]) -> None:
    with pytest.raises(ArchitectureError, match="kernel"):
        Kernel(*sizes)


@pytest.mark.parametrize("text", ["3x3", "3x3x5", "axbxc", "", "5x3x3x3", "3x-3x-3", "³x3x3"])
def test_kernel_texts_that_cannot_be_read(text: str) -> None:
    with pytest.raises(ArchitectureError, match="kernel"):
        Kernel.parse(text)


_LAYER = Layer(Kernel(3, 3), 24)


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: Layer(Kernel(3, 3), 0), "expansion"),
        (lambda: Layer(Kernel(3, 3), 24.0), "expansion"),  # type: ignore[arg-type]
        (lambda: Layer("3x3x3", 24), "kernel"),  # type: ignore[arg-type]
        (lambda: Layer(Kernel(3, 3), 24, 1), "squeeze"),  # type: ignore[arg-type]
        (lambda: Stage(8, 3, (_LAYER,)), "stride"),
        (lambda: Stage(0, 2, (_LAYER,)), "width"),
        (lambda: Stage(8, 2, ()), "0 layers"),
        (lambda: Stage(8, 2, (_LAYER,) * 27), "27 layers"),
        (lambda: Stage(8, 2, [_LAYER]), "tuple"),  # type: ignore[arg-type]
        (lambda: ClipShape(0, 64, 5), "frames"),
        (lambda: ClipShape(8, 0, 5), "size"),
        (lambda: ClipShape(8, 64, 0), "fps"),
        (lambda: ClipShape(8, 64, float("nan")), "fps"),
        (lambda: Options(squeeze="4d"), "squeeze"),  # type: ignore[arg-type]
        (lambda: Options(causal=1), "causal"),  # type: ignore[arg-type]
        (lambda: Options(position_encoding=True), "position_encoding"),
        (lambda: Options(squeeze="2d", causal=True, position_encoding=True), "position_encoding"),
        (lambda: replace(PUBLISHED["A0-base"], stem=0), "stem"),
        (lambda: replace(PUBLISHED["A0-base"], hidden=True), "hidden"),
        (lambda: replace(PUBLISHED["A0-base"], stages=()), "0 stages"),
    ],
)
def test_what_cannot_be_built_is_refused_with_value_and_remedy(build: object, word: str) -> None:
    assert callable(build)
    with pytest.raises(ArchitectureError, match=word) as caught:
        build()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("base_", "basis_", "basis"),
        ("base_", "base+gait.x_", "gait"),
        ("base_", "base+gate.tanh_", "gate"),
        ("50x172x5", "50x172", "50x172"),
        ("_s8_", "_8_", "'8'"),
        ("w32s2", "w32", "w32"),
        ("w32s2", "w32s3", "stride"),
        ("33e80-aaa", "33e80-aab", "'b'"),
        ("33e80-aaa", "33e80", "w32s2-33e80"),
        ("33e80", "43e80", "kernel"),
        ("h480x2048", "h480", "h480"),
    ],
)
def test_texts_that_cannot_be_read_name_the_part(old: str, new: str, part: str) -> None:
    text = PUBLISHED["A0-base"].text
    assert old in text
    with pytest.raises(ArchitectureError, match=re.escape(part)):
        Architecture.parse(text.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "A0", "base_50x172x5_s8_h480x2048"])
def test_no_text_at_all(text: str) -> None:
    with pytest.raises(ArchitectureError):
        Architecture.parse(text)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("stem",), None, "stem"),
        (("stem",), "8", "stem"),
        (("extra",), 1, "extra"),
        (("stages", 1, "width"), 0, r"stages\[1\]"),
        (("stages", 1, "layers"), {}, r"stages\[1\].layers"),
        (("stages", 0, "layers", 0, "kernel"), "2x3x3", r"stages\[0\].layers\[0\]"),
        (("stages", 0, "layers", 0, "depth"), 2, "depth"),
        (("input", "fps"), "five", "input"),
        (("options", "gate"), "tanh", "options"),
    ],
)
def test_json_that_cannot_be_read_names_the_place(
    path: tuple[str | int, ...], value: object, place: str
) -> None:
    data: object = PUBLISHED["A0-base"].to_json()
    at: object = data
    for part in path[:-1]:
        at = at[part]  # type: ignore[index]
    at[path[-1]] = value  # type: ignore[index]
    with pytest.raises(ArchitectureError, match=place):
        Architecture.from_json(data)


@pytest.mark.parametrize("missing", ["stem", "stages", "input", "options", "hidden"])
def test_json_without_an_entry(missing: str) -> None:
    data = PUBLISHED["A0-base"].to_json()
    del data[missing]
    with pytest.raises(ArchitectureError, match=missing):
        Architecture.from_json(data)
