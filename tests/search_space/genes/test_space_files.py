"""Space files: what is wrong in one is refused with the place, the value and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.architecture.parts import STREAM
from search_space.errors import SpaceError
from search_space.genes.reading import preset_names
from search_space.space.space import SearchSpace

GOOD = """\
name: mine
options: stream
input: {frames: 8, size: 32, fps: 4}
stem: {base: 16, multipliers: [0.5, 1]}
stages:
  - width: {base: 16, multipliers: [1, 1.5]}
    stride: 2
    depth: [1, 2]
    kernel: [1x3x3, 3x3x3]
    expansion: {ratios: [1.5, 2]}
  - width: [24, 32]
    stride: 1
    depth: 2
    kernel: 3x3x3
    expansion: {also: 48}
head: 64
hidden: 128
budgets: {phone: 6.0e+6}
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    space = SearchSpace.from_yaml(_write(tmp_path, GOOD))
    assert space.name == "mine"
    assert space.settings.options == STREAM
    assert space.choices.stems == (8, 16)
    assert space.choices.stages[0].rest.expansions == (24, 32)
    assert space.cardinality == 2 * (2 * 2 * 4) * 2
    assert space == SearchSpace.from_yaml(str(_write(tmp_path, GOOD)))


@pytest.mark.parametrize(
    ("change", "place", "value", "remedy"),
    [
        (("[1x3x3, 3x3x3]", "[1x3x3, 4x3x3]"), "line 9: stages[0].kernel[1]", "4x3x3", "odd"),
        (("[1x3x3, 3x3x3]", "[1x3x3, 3x3x5]"), "line 9: stages[0].kernel[1]", "3x3x5", "5x3x3"),
        (("[1x3x3, 3x3x3]", "[333]"), "line 9: stages[0].kernel", "333", "5x3x3"),
        (("[1x3x3, 3x3x3]", "[]"), "line 9: stages[0].kernel", "empty", "at least one"),
        (("ratios: [1.5, 2]", "ratios: []"), "line 10: stages[0].expansion", "no expansion", "ratios"),
        (("depth: [1, 2]", "depth: []"), "line 8: stages[0].depth", "empty", "at least one"),
        (("depth: [1, 2]", "depth: [0, 2]"), "line 8: stages[0].depth[0]", "0", "at least 1"),
        (("depth: 2", "depth: 0"), "line 13: stages[1].depth", "0", "at least 1"),
        (("depth: 2", "depth: 99"), "line 13: stages[1].depth", "99", "at most 26"),
        (("[24, 32]", "[24, 30]"), "line 11: stages[1].width", "30", "32"),
        (
            ("base: 16, multipliers: [1, 1.5]", "base: 20, multipliers: [1]"),
            "line 6: stages[0].width.base",
            "20",
            "24",
        ),
        (
            ("base: 16, multipliers: [1, 1.5]", "multipliers: [1]"),
            "line 6: stages[0].width",
            "base",
            "base: 24",
        ),
        (("[24, 32]", "[]"), "line 11: stages[1].width", "no width", "list of widths"),
        (("hidden: 128\n", "hidden: 128\nhead: 32\n"), "line 18: head", "twice", "line 16"),
        (("stride: 1\n", "stride: 1\n    stride: 1\n"), "line 13: stages[1].stride", "twice", "line 12"),
        (("stride: 1", "stride: 3"), "line 12: stages[1].stride", "3", ""),
        (("hidden: 128\n", ""), "mine.yaml: hidden", "missing", "add"),
        (("hidden:", "hiden:"), "hid", "", ""),
        (("options: stream", "options: strem"), "line 2: options", "strem", "base"),
        (("options: stream", "options: {form: base, gates: x}"), "line 2: options", "gates", "gate"),
        (
            ("options: stream", "options: {form: stream, squeeze: none}"),
            "mine.yaml",
            "squeeze",
            "squeeze: false",
        ),
        (
            ("options: stream", "options: {position_encoding: true}"),
            "line 2: options",
            "position_encoding",
            "causal",
        ),
        (("frames: 8", "frames: 0"), "line 3: input", "0", "whole number"),
        (("6.0e+6", "5.0e+12"), "line 18: budgets.phone", "5e+12", "larger"),
        (("6.0e+6", "5.0"), "line 18: budgets.phone", "5", "smaller"),
        (("6.0e+6", "-1"), "line 18: budgets.phone", "-1", "more than 0"),
        (("[24, 32]", "[24, 32"), "line", "no valid YAML", "syntax"),
        (("name: mine\n", "extends: b7\nname: mine\n"), "line 1: extends", "b7", "quickstart"),
    ],
)
def test_what_is_wrong_is_named_with_place_value_and_remedy(
    tmp_path: Path, change: tuple[str, str], place: str, value: str, remedy: str
) -> None:
    assert change[0] in GOOD
    path = _write(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_yaml(path)
    message = str(caught.value)
    assert "mine.yaml" in message
    assert place in message
    assert value in message
    assert remedy in message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "- a list", "just words"])
def test_no_mapping(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpaceError, match=r"mine\.yaml"):
        SearchSpace.from_yaml(_write(tmp_path, text))


def test_no_such_file_lists_the_presets(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="quickstart"):
        SearchSpace.from_yaml(tmp_path / "nothing.yaml")
    with pytest.raises(SpaceError, match="quickstart"):
        SearchSpace.preset("a9")


def test_budgets_may_be_written_as_people_do(tmp_path: Path) -> None:
    space = SearchSpace.from_yaml(_write(tmp_path, GOOD.replace("6.0e+6", "6e6")))
    assert space.settings.budgets == {"phone": 6e6}


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="no valid YAML"):
        SearchSpace.from_yaml(_write(tmp_path, "name: !!python/object/apply:os.getcwd []\n"))


def test_python_settings_name_the_key() -> None:
    data = SearchSpace.preset("quickstart").to_dict()
    data["stages"][2]["kernel"] = ["3x3x3", "2x2x2"]
    with pytest.raises(SpaceError, match=r"stages\[2\].kernel\[1\]"):
        SearchSpace.from_dict(data)


def test_a_file_may_build_on_a_preset(tmp_path: Path) -> None:
    text = "extends: a2-stream\nname: smaller\ninput: {frames: 8, size: [64, 96], fps: 5}\n"
    space = SearchSpace.from_yaml(_write(tmp_path, text))
    assert space.settings.options == STREAM
    assert space.cardinality == 2 * SearchSpace.preset("a2").cardinality
    assert space.macs_range()[1] < SearchSpace.preset("a2").macs_range()[0]


def test_presets() -> None:
    expected = {"t0", "a0", "a1", "a2", "a3", "a4", "a5"}
    assert set(preset_names()) == expected | {f"{name}-stream" for name in expected} | {"quickstart"}
    for name in preset_names():
        assert SearchSpace.preset(name).name == name
        assert SearchSpace.preset(name).settings.options.causal == ("stream" in name or name == "quickstart")
        assert SearchSpace.from_yaml(name) == SearchSpace.preset(name)


def test_the_quickstart_space_fits_a_laptop() -> None:
    low, high = SearchSpace.preset("quickstart").with_classes(16).macs_range()
    # Wide enough for a family that spans eightfold, low enough for trainings of seconds.
    assert low <= 0.5e6
    assert 12e6 <= high <= 20e6
