"""Names in any script in pictures: in a font that has their letters, or spelled, and said once."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from results import fonts
from results.analysis.hypervolume import hypervolume_history
from results.fonts import bundled_font
from results.plots.pictures import draw_hypervolume
from results.plots.style import _say_spelled, write_picture
from tests.results.made_fonts import write_font
from tests.results.synthetic import whole_run

NAMES = ("动作", "движения", "حركات", "क्रिया", "gestes été")


def drawn(path: Path, names: tuple[str, ...]) -> dict[str, list[str]]:
    """The words of a legend of runs of these names, with the families that they are drawn in."""
    runs = {name: hypervolume_history(whole_run(seed)) for seed, name in enumerate(names)}
    made: list[Figure] = []

    def draw(figure: Figure) -> None:
        draw_hypervolume(runs)(figure)
        made.append(figure)

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of every letter that it has no glyph for
        write_picture(draw, path, (7, 4), path.with_suffix(".svg"))
    texts = [text for text in made[0].findobj(Text) if isinstance(text, Text) and text.get_text()]
    return {text.get_text(): list(text.get_fontfamily()) for text in texts}


def test_names_have_a_font_with_their_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = dict.fromkeys("动作क्रिया", 450)
    made = write_font(tmp_path / "made.ttf", letters, "Made for pictures")
    monkeypatch.setattr(fonts, "_fonts", lambda: iter([bundled_font(), made]))
    families = drawn(tmp_path / "out.png", NAMES)
    assert set(NAMES) <= families.keys()
    for name in NAMES:
        assert families[name] == ["DejaVu Sans", "Made for pictures"][: 1 + (name in NAMES[::3])]
    svg = (tmp_path / "out.svg").read_text(encoding="utf-8")
    assert all(name in svg for name in NAMES)


def test_without_a_font_they_are_spelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fonts, "_fonts", lambda: iter([bundled_font()]))
    _say_spelled.cache_clear()
    with caplog.at_level(logging.WARNING):
        families = drawn(tmp_path / "out.png", NAMES)
        drawn(tmp_path / "again.png", NAMES)
    assert {"\\u52a8\\u4f5c", "движения", "حركات", "gestes été"} <= families.keys()
    assert not {"动作", "क्रिया"} & families.keys()
    assert [repr(name) in caplog.text for name in NAMES] == [True, False, False, True, False]
    assert len(caplog.records) == 2, "each is said once"
