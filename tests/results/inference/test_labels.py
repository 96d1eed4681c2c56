"""Labels in any script are drawn in a font that has their letters, or told apart by their numbers."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, features

import movinas
from results import fonts
from results.fonts import bundled_font, find_fonts, letters, missing_letters, one_line
from results.inference.label_pen import HEIGHT, LabelPen
from results.inference.watching import Seen
from results.member import write_member
from search_space.errors import DataError
from tests.results.made_fonts import write_font
from tests.results.synthetic import SIZE, clip, network

WAVE, FALL = "挥手", "跌倒"
CHINESE = {"挥": 450, "手": 900, "跌": 150, "倒": 300}
LABELS = (WAVE, FALL, "Прыжок", "saut à la perche", "jump")


@pytest.fixture
def few_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no font but the one that is always there."""
    monkeypatch.setattr(fonts, "_fonts", lambda: iter([bundled_font()]))


def written(pen: LabelPen, label: str, words: str = "", width: float = 460) -> np.ndarray:
    """The page with a label on it: (30, 480), from 0 for black to 255 for white."""
    page = Image.new("RGB", (480, 30), "black")
    pen.write(ImageDraw.Draw(page), (8, 2), label, words, width)
    return np.asarray(page)[:, :, 0]


def white_columns(page: np.ndarray) -> list[int]:
    return np.flatnonzero((page > 200).any(axis=0)).tolist()


def boxes(*widths: int) -> list[int]:
    """The columns of boxes of so many parts of 900 of the height, one after the other."""
    return [
        8 + HEIGHT * place + column
        for place, width in enumerate(widths)
        for column in range(HEIGHT * width // 900)
    ]


def plain(pen: LabelPen, text: str) -> np.ndarray:
    """What the pen's common font makes of a text."""
    page = Image.new("RGB", (480, 30), "black")
    ascent = pen.font.getmetrics()[0]
    ImageDraw.Draw(page).text((8, 2 + ascent), text, "white", font=pen.font, anchor="ls")
    return np.asarray(page)[:, :, 0]


@pytest.mark.usefixtures("few_fonts")
def test_a_given_font_writes_what_it_has_letters_for(tmp_path: Path) -> None:
    pen = LabelPen(LABELS, write_font(tmp_path / "made.ttf", CHINESE))
    assert pen.note == ""
    assert white_columns(written(pen, WAVE)) == boxes(450, 900)
    assert white_columns(written(pen, FALL)) == boxes(150, 300)
    np.testing.assert_array_equal(written(pen, "jump"), plain(pen, "jump"))


@pytest.mark.usefixtures("few_fonts")
@pytest.mark.parametrize(
    "label", ["Прыжок", "Πήδημα", "saut à la perche", "Größe", "skok w dal – łódź", "e\u0301te\u0301"]
)
def test_the_letters_of_europe_need_no_font_of_the_machine(label: str) -> None:
    pen = LabelPen([label])
    assert pen.note == ""
    other = LabelPen(["x" * len(label)])
    assert len(white_columns(written(pen, label))) > 8 and not np.array_equal(
        written(pen, label), written(other, "x" * len(label))
    )
    assert not missing_letters(bundled_font(), letters(label))


@pytest.mark.usefixtures("few_fonts")
@pytest.mark.parametrize(
    ("label", "shown"),
    [
        (WAVE, "\\u6325\\u624b"),
        ("跳 jump", "\\u8df3 jump"),
        ("नृत्य", "\\u0928\\u0943\\u0924\\u094d\\u092f"),
        ("👋", "\\U0001f44b"),
    ],
)
def test_what_nothing_can_write_has_its_number_and_a_line_says_why(label: str, shown: str) -> None:
    pen = LabelPen(["jump", "fall", label])
    assert pen.note.startswith(
        "1 of 3 labels have their number before them in the video, as nothing here can write"
    )
    assert repr(label) in pen.note and "--font FILE" in pen.note
    text, font = pen._shown[label]
    assert text == f"2 {shown}"
    assert Path(str(font.path)) == bundled_font()
    number = written(pen, label)[:, 8:18]
    assert number.any() and not written(pen, label)[:, 470:].any()


def test_a_font_of_the_machine_is_found_by_its_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = "\U000fabcd\U000fabce"  # letters for private use: no other font has them
    made = write_font(tmp_path / "data" / "fonts" / "deep" / "made.ttf", dict.fromkeys(own, 450))
    write_font(tmp_path / "data" / "fonts" / "other.ttf", dict.fromkeys(own[0], 450))
    (tmp_path / "data" / "fonts" / "damaged.otf").write_bytes(b"OTTO" + bytes(40))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", str(tmp_path))
    if sys.platform == "linux":
        assert find_fonts([letters(own), letters(own[0])]) == {letters(own): made, letters(own[0]): made}
        pen = LabelPen([own])
        assert pen.note == "" and white_columns(written(pen, own)) == boxes(450, 450)
    assert find_fonts([letters("\U000fabcf")]) == {}


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="fontconfig is not installed")
def test_a_font_that_fontconfig_knows_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "\U000fabcd"
    made = write_font(tmp_path / "elsewhere" / "made.ttf", {own: 450})
    settings = f"<fontconfig><dir>{made.parent}</dir><cachedir>{tmp_path / 'cache'}</cachedir></fontconfig>"
    (tmp_path / "fonts.conf").write_text(f'<?xml version="1.0"?>{settings}')
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    assert find_fonts([letters(own)]) == {letters(own): made}


@pytest.mark.usefixtures("few_fonts")
@pytest.mark.skipif(not features.check("raqm"), reason="Pillow cannot order letters here")
def test_what_is_read_from_the_right_is_drawn_so(tmp_path: Path) -> None:
    font = write_font(tmp_path / "made.ttf", {"א": 150, "ב": 450})
    assert white_columns(written(LabelPen(["אב"], font), "אב")) == boxes(450, 150)


@pytest.mark.usefixtures("few_fonts")
def test_what_pillow_cannot_order_has_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _name: False)
    pen = LabelPen(["jump", "שלום", "سلام"])
    assert pen._shown["שלום"][0] == "1 \\u05e9\\u05dc\\u05d5\\u05dd" and "2 of 3 labels" in pen.note


@pytest.mark.usefixtures("few_fonts")
@pytest.mark.parametrize("label", ["wave " * 400, "w" * 3000, "W\u0301" * 90, "挥" * 200, "שלום " * 60])
def test_a_long_label_leaves_room_for_its_share(label: str, tmp_path: Path) -> None:
    pen = LabelPen([label], write_font(tmp_path / "made.ttf", CHINESE))
    page = written(pen, label, " 98.1 %", 464)
    assert max(white_columns(page)) < 8 + 464
    # The share is whole, at the end.
    share = plain(pen, " 98.1 %")[:, 8 : 8 + int(pen.font.getlength(" 98.1 %"))]
    left = 8 + 464 - share.shape[1] - 40
    assert any(
        np.abs(page[:, at : at + share.shape[1]].astype(int) - share).mean() < 12
        for at in range(left, left + 41)
    )


def test_control_characters_never_break_a_line() -> None:
    label = "wave\n\x1b[31mred\x00\u2028end\r\t."
    assert one_line(label, 60) == "wave [31mred end ."
    assert one_line("x" * 61, 60) == "x" * 59 + "…" and one_line("x" * 60, 60) == "x" * 60
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    told = Seen(0, 0.0, 1.0, 1, ((label, 0.5), ("y" * 500, 0.25)), picture).text()
    assert not any(unicodedata.category(c).startswith("C") for c in told) and len(told) < 160
    assert "wave [31mred end . 50.0 %" in told and told.endswith("… 25.0 %")
    assert LabelPen([label])._shown[label][0] == "wave [31mred end ."


@pytest.mark.parametrize("kind", ["text", "cut", "missing"])
def test_what_is_no_font_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "given.ttf"
    if kind == "text":
        file.write_text("no font")
    elif kind == "cut":
        file.write_bytes(bundled_font().read_bytes()[:300])
    with pytest.raises(DataError, match=r"given\.ttf cannot be used as a font"):
        LabelPen(["jump"], file)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("family") / "A4"
    write_member(folder, "A4", network(1), recipe_yaml="", labels=LABELS, metrics={})
    return folder


def stream(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str | Path
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["movinas", "stream", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    return int(ended.value.code or 0), capsys.readouterr().err


def film(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=8)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        track.codec_context.thread_count = 1
        for frame in clip(4, 48, 64):
            container.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(track.encode())
    return path


@pytest.mark.usefixtures("few_fonts")
def test_the_command_draws_with_the_font_that_it_is_given(
    member: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    video, output = film(tmp_path / "video.mp4"), tmp_path / "out.mp4"
    font = write_font(tmp_path / "made.ttf", CHINESE)
    words = (member, video, "--top", "5", "--output", output)
    status, err = stream(capsys, monkeypatch, *words)
    assert status == 0 and err.count("2 of 5 labels have their number") == 1 and WAVE in err
    assert stream(capsys, monkeypatch, *words, "--font", font) == (0, "")
    with av.open(str(output)) as container:
        *_, last = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    rows = [last[480 + 8 + 28 * n :][:18, 8 : 8 + 36].astype(int) for n in range(1, 6)]
    # The boxes of the two letters, half and whole, in one of the rows.
    boxed = [row[8:16, :8].min() > 180 and row[8:16, 20:34].min() > 180 for row in rows]
    assert sum(boxed) == 1
    status, err = stream(capsys, monkeypatch, member, video, "--font", font)
    assert status == 2 and "without --output" in err
    status, err = stream(capsys, monkeypatch, *words, "--font", video)
    assert status == 2 and "video.mp4 cannot be used as a font" in err and "remedy" in err
    assert output.exists()
