"""A decoded picture to what a player shows: colours, depth, shape of the pixels, orientation."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.reformatter import VideoReformatter
from PIL import Image

from proxy_train.video.frame_files import FrameFiles
from proxy_train.video.orientation import Orientation
from proxy_train.video.picture import DecodedPicture, picture, pixel_aspect
from proxy_train.video.video import Video
from search_space.errors import DataError

Picture = npt.NDArray[np.uint8]
LUMA, BLUE, RED = 120, 90, 170
"""A colour as it is stored; what it looks like depends on the matrix and the range."""
WEIGHTS = {601: (0.299, 0.114), 709: (0.2126, 0.0722), 2020: (0.2627, 0.0593), 240: (0.212, 0.087)}


def seen(matrix: int, *, full: bool = False) -> list[float]:
    """Red, green and blue of the stored colour, by the definition of the matrix."""
    red_weight, blue_weight = WEIGHTS[matrix]
    luma = LUMA / 255 if full else (LUMA - 16) / 219
    blue, red = ((value - 128) / (255 if full else 224) for value in (BLUE, RED))
    r, b = luma + 2 * (1 - red_weight) * red, luma + 2 * (1 - blue_weight) * blue
    g = (luma - red_weight * r - blue_weight * b) / (1 - red_weight - blue_weight)
    return [255 * value for value in (r, g, b)]


def write_colour(path: Path, codec: str, options: dict[str, str], *, full: bool = False) -> Path:
    """A few frames of the stored colour."""
    planes = [np.full((32, 48), LUMA), np.full((16, 24), BLUE), np.full((16, 24), RED)]
    stored = np.concatenate([plane.reshape(-1, 48) for plane in planes]).astype(np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.color_range = 2 if full else 1
        for _ in range(4):
            frame = av.VideoFrame.from_ndarray(stored, format="yuv420p")
            frame.color_range = 2 if full else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "matrix"),
    [
        ("bt709", 709),
        ("smpte170m", 601),
        ("bt470bg", 601),
        ("smpte240m", 240),
        ("bt2020nc", 2020),
        ("undef", 601),
        # What libswscale refuses, or has no coefficients for.
        ("bt2020c", 2020),
        ("YCgCo", 601),
        ("smpte2085", 601),
        ("chroma-derived-nc", 601),
        ("chroma-derived-c", 601),
        ("ICtCp", 601),
    ],
)
def test_colours_are_those_of_the_files_matrix(name: str, matrix: int, tmp_path: Path) -> None:
    path = write_colour(tmp_path / "a.mp4", "libx264", {"crf": "4", "x264-params": f"colormatrix={name}"})
    np.testing.assert_allclose(Video(path).read(10, 16).mean((0, 1, 2)), seen(matrix), atol=3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_full_range_is_honoured(name: str, tmp_path: Path) -> None:
    vp9 = name.endswith("webm")
    codec, options = ("libvpx-vp9", {"lossless": "1"}) if vp9 else ("libx264", {"crf": "4"})
    path = write_colour(tmp_path / name, codec, options, full=True)
    np.testing.assert_allclose(Video(path).read(10, 16).mean((0, 1, 2)), seen(601, full=True), atol=2)


@pytest.mark.parametrize(
    ("name", "codec", "kind", "white"),
    [
        ("a.mov", "png", "gray16be", 65535),
        ("a.mkv", "ffv1", "gray16le", 65535),
        ("a.mkv", "ffv1", "gray12le", 4095),
        ("a.mkv", "ffv1", "gray10le", 1023),
        ("a.mov", "png", "gray", 255),
    ],
)
def test_grey_has_its_level_at_every_depth(
    name: str, codec: str, kind: str, white: int, tmp_path: Path
) -> None:
    with av.open(tmp_path / name, "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, kind
        for level in (0.1, 0.5, 0.9):
            pixels = np.full((32, 48), round(level * white), np.uint8 if white == 255 else np.uint16)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format=kind)))
        container.mux(stream.encode())
    found = Video(tmp_path / name).read(10, 16).mean((1, 2, 3))
    np.testing.assert_allclose(found, [25.5, 127.5, 229.5], atol=1.1)


def scene(height: int = 64, width: int = 96) -> Picture:
    """Four grey levels, one a quarter: no two of the eight orientations look alike."""
    picture = np.zeros((height, width, 3), np.uint8)
    for at, level in zip(np.ndindex(2, 2), (240, 160, 80, 20), strict=True):
        top, left = at[0] * height // 2, at[1] * width // 2
        picture[top : top + height // 2, left : left + width // 2] = level
    return picture


def quarters(picture: Picture) -> list[int]:
    """The levels of the four quarters, as ``scene`` has them."""
    rows, columns = (np.array([1, 3]) * side // 4 for side in picture.shape[:2])
    return [
        min((240, 160, 80, 20), key=lambda level: abs(level - int(picture[r, c, 0])))
        for r in rows
        for c in columns
    ]


def write_scene(
    path: Path, picture: Picture, *, aspect: Fraction | None = None, options: dict[str, str]
) -> None:
    codec = {".avi": "mpeg4", ".mpg": "mpeg2video", ".webm": "libvpx-vp9"}.get(path.suffix, "libx264")
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


# a, b, c, d of a display matrix, EXIF's number for the same, and the quarters of the scene as it is shown.
ORIENTATIONS = {
    "as it is": ((1, 0, 0, 1), 1, [240, 160, 80, 20]),
    "left and right": ((-1, 0, 0, 1), 2, [160, 240, 20, 80]),
    "half a turn": ((-1, 0, 0, -1), 3, [20, 80, 160, 240]),
    "top and bottom": ((1, 0, 0, -1), 4, [80, 20, 240, 160]),
    "rows are columns": ((0, 1, 1, 0), 5, [240, 80, 160, 20]),
    "clockwise": ((0, 1, -1, 0), 6, [80, 240, 20, 160]),
    "rows are columns, half a turn": ((0, -1, -1, 0), 7, [20, 160, 80, 240]),
    "counter-clockwise": ((0, -1, 1, 0), 8, [160, 20, 240, 80]),
}


def set_matrix(path: Path, *parts: float) -> None:
    """Write a, b, c and d of the display matrix into a track's header."""
    content = bytearray(path.read_bytes())
    a, b, c, d = (round(part * (1 << 16)) for part in parts)
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_all_eight_display_matrices(name: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_scene(path, scene(), options={"crf": "4"})
    matrix, number, expected = ORIENTATIONS[name]
    set_matrix(path, *matrix)
    shown = Video(path).read(25, 32, square=False)[0]
    assert shown.shape == ((48, 32, 3) if number > 4 else (32, 48, 3))
    assert quarters(shown) == quarters(Video(path).read(25, 32)[0]) == expected
    info = Video(path).measure()
    assert info.mirrored == (number in (2, 4, 5, 7)) and info.turned == (number not in (1, 2, 4))


def turned_by(degrees: float) -> tuple[float, ...]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return cosine, sine, -sine, cosine


@pytest.mark.parametrize(
    "matrix",
    [
        *map(turned_by, (2, 30, 44.9, 45, 45.1, 60, 88, 135, 200)),
        (1, 0, 0.5, 1),
        (0.5, 1, 1, 0),
        (1, 0, 1, 0),
    ],
)
def test_slants_and_turns_by_no_quarter_are_told_and_left_out(
    matrix: tuple[float, ...], tmp_path: Path
) -> None:
    path = tmp_path / "a.mp4"
    write_scene(path, scene(), options={"crf": "4"})
    set_matrix(path, *matrix)
    assert quarters(Video(path).read(25, 32, square=False)[0]) == [240, 160, 80, 20]
    info = Video(path).measure()
    assert not info.turned and not info.mirrored and "used as they are stored" in info.note


@pytest.mark.parametrize("degrees", [-0.9, 89.1, 90.9, 180.9, 270])
def test_turns_may_miss_a_quarter_by_a_degree(degrees: float, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_scene(path, scene(), options={"crf": "4"})
    set_matrix(path, *turned_by(degrees))
    name = ("as it is", "clockwise", "half a turn", "counter-clockwise")[round(degrees / 90) % 4]
    assert quarters(Video(path).read(25, 32, square=False)[0]) == ORIENTATIONS[name][2]
    assert Video(path).measure().note == ""
    assert Orientation.of_turn(degrees + 2) == Orientation.of_turn(degrees + 45) == Orientation(askew=True)


@pytest.mark.parametrize("name", ORIENTATIONS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_all_eight_orientations_of_images(name: str, suffix: str, tmp_path: Path) -> None:
    _, number, expected = ORIENTATIONS[name]
    exif = Image.Exif()
    exif[274] = number
    for frame in (1, 2):
        Image.fromarray(scene()).save(tmp_path / f"{frame}{suffix}", exif=exif)
    video = Video(tmp_path, FrameFiles(f"%d{suffix}", 1, 2, 25))
    assert quarters(video.read(25, 32, square=False)[0]) == quarters(video.read(25, 32)[0]) == expected
    info = video.measure()
    # Pillow itself makes TIFF files upright, and leaves no word of it.
    told = number if suffix != ".tif" else 1
    assert info.mirrored == (told in (2, 4, 5, 7)) and info.turned == (told not in (1, 2, 4))


def test_damaged_notes_of_a_camera_leave_its_picture_as_it_is(tmp_path: Path) -> None:
    for frame, exif in enumerate((b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0nonsense", b"Exif\0\0")):
        Image.fromarray(scene()).save(tmp_path / f"{frame}.jpg", exif=exif)
    frames = Video(tmp_path, FrameFiles("%d.jpg", 0, 3, 25)).read(25, 32)
    assert [quarters(frame) for frame in frames] == [[240, 160, 80, 20]] * 3


ELLIPSE = {
    "a.mp4": Fraction(4, 3),
    "a.mkv": Fraction(16, 11),
    "a.avi": Fraction(3, 4),
    "a.ts": Fraction(1, 2),
    "a.mov": Fraction(2),
}


@pytest.mark.parametrize("name", ELLIPSE)
def test_discs_are_round_whatever_the_shape_of_the_pixels(name: str, tmp_path: Path) -> None:
    aspect = ELLIPSE[name]
    y, x = np.mgrid[0:96, 0:128]
    disc = np.zeros((96, 128, 3), np.uint8)
    disc[((x - 63.5) * aspect.numerator / aspect.denominator) ** 2 + (y - 47.5) ** 2 < 30**2] = 255
    write_scene(tmp_path / name, disc, aspect=aspect, options={"crf": "4"})
    whole = Video(tmp_path / name).read(25, 96, square=False)[0]
    height, width = whole.shape[:2]
    assert min(height, width) == 96 and width / height == pytest.approx(128 * float(aspect) / 96, abs=0.02)
    for shown in (whole, Video(tmp_path / name).read(25, 96)[0]):
        bright = shown.mean(-1) > 128
        across, down = bright.any(0).sum(), bright.any(1).sum()
        assert abs(across - down) <= 2 and across == pytest.approx(60 * height / 96, abs=3)
    assert Video(tmp_path / name).measure().stretched


def test_the_containers_word_on_pixels_counts_before_the_codecs(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.mp4", scene(), aspect=Fraction(4, 3), options={"crf": "4"})
    content = (tmp_path / "a.mp4").read_bytes()
    said = b"pasp" + struct.pack(">2I", 4, 3)
    assert content.count(said) == 1
    # Absurd words are none: pixels are square. Where the container says nothing, the codec does.
    widths = {(2, 1): 96, (100, 1): 48, (1, 60): 48, (65535, 1): 48, (0, 0): 64}
    for (wide, high), width in widths.items():
        (tmp_path / "b.mp4").write_bytes(content.replace(said, b"pasp" + struct.pack(">2I", wide, high)))
        assert Video(tmp_path / "b.mp4").read(25, 32, square=False).shape == (4, 32, width, 3), (wide, high)
        assert Video(tmp_path / "b.mp4").measure().stretched == (width != 48)


@pytest.mark.parametrize(
    "ratio", [None, 0, 1, Fraction(9), Fraction(1, 9), "x", float("nan"), float("inf"), -2]
)
def test_ratios_that_cannot_be_meant_are_none(ratio: object) -> None:
    assert pixel_aspect(ratio) == 1


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_deep_grey_images_are_not_clipped(name: str, tmp_path: Path) -> None:
    suffix = Path(name).suffix
    for number, level in enumerate((0, 0x4000, 0x8000, 0xFFFF)):
        Image.fromarray(np.full((24, 32), level, np.uint16)).save(tmp_path / f"{number}{suffix}")
    found = Video(tmp_path, FrameFiles(f"%d{suffix}", 0, 4, 25)).read(25, 16).mean((1, 2, 3))
    np.testing.assert_allclose(found, [0, 63.75, 127.5, 255], atol=0.6)


def test_images_of_every_mode_have_their_colours(tmp_path: Path) -> None:
    colour = np.full((24, 32, 3), (200, 100, 50), np.uint8)
    image = Image.fromarray(colour)
    clear = np.dstack([colour, np.zeros((24, 32), np.uint8)])
    palette = image.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "0.png", transparency=0)
    Image.fromarray(clear).save(tmp_path / "1.png")
    palette.convert("PA").convert("RGBA").save(tmp_path / "2.png")
    image.convert("CMYK").save(tmp_path / "3.tif")
    frames = Video(tmp_path, FrameFiles("%d.png", 0, 3, 25)).read(25, 16)
    np.testing.assert_allclose(frames.mean((1, 2)), [[200, 100, 50]] * 3, atol=1)
    frames = Video(tmp_path, FrameFiles("%d.tif", 3, 1, 25)).read(25, 16)
    np.testing.assert_allclose(frames.mean((1, 2)), [[200, 100, 50]], atol=1)
    Image.fromarray(np.full((24, 32), 0.5, np.float32)).save(tmp_path / "4.tif")
    with pytest.raises(DataError, match=r"4\.tif: .*32 bits"):
        Video(tmp_path, FrameFiles("%d.tif", 4, 1, 25)).read(25, 16)


@pytest.mark.parametrize(("name", "codec", "kind"), [("a.mov", "png", "rgba"), ("a.mov", "qtrle", "argb")])
def test_transparency_is_left_out(name: str, codec: str, kind: str, tmp_path: Path) -> None:
    colour = np.full((32, 48, 4), (200, 100, 50, 0), np.uint8)
    colour = colour if kind == "rgba" else np.roll(colour, 1, -1)
    with av.open(tmp_path / name, "w") as container:
        stream = container.add_stream(codec, rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 48, 32, kind
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(colour, format=kind)), *stream.encode()])
    np.testing.assert_array_equal(Video(tmp_path / name).read(10, 16)[0, 0, 0], [200, 100, 50])


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((32, 48, 3), (level, 100, 50), np.uint8)) for level in (200, 60)]
    first, second = (frame.convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second], duration=500)
    video = Video(tmp_path / "a.gif")
    np.testing.assert_allclose(video.read(2, 16).mean((1, 2)), [[200, 100, 50], [60, 100, 50]], atol=1)
    assert video.measure().duration == pytest.approx(1.0)


def test_formats_that_end_the_process_are_refused() -> None:
    for kind in ("yaf32le", "yaf32be"):
        with pytest.raises(ValueError, match="end the process"):
            picture(DecodedPicture(av.VideoFrame(32, 32, kind)), 16, VideoReformatter())


def test_a_turn_in_the_bit_stream_holds_until_the_next_key_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    write_scene(path, scene(), options={"crf": "4", "bf": "0"})
    with av.open(path) as given, av.open(tmp_path / "turned.ts", "w") as turned:
        stream = given.streams.video[0]
        options = "display_orientation=insert:rotate=90"
        note = av.BitStreamFilterContext(f"h264_metadata={options}", stream)
        track = turned.add_stream_from_template(stream)
        for packet in given.demux(stream):
            for noted in note.filter(packet if packet.size else None):
                noted.stream = track
                turned.mux(noted)
    with av.open(tmp_path / "turned.ts") as turned_file:
        frames = list(turned_file.decode(video=0))
    assert [bool(len(frame.side_data)) and bool(frame.rotation) for frame in frames] == [True, *[False] * 3]
    plain, seen = (Video(tmp_path / name).read(25, 48, square=False) for name in ("a.ts", "turned.ts"))
    assert len(seen) == 4 and seen.shape[1:3] == plain.shape[1:3][::-1]
    assert Video(tmp_path / "turned.ts").measure().turned
