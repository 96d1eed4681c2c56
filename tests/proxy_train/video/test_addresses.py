"""Videos from addresses: recordings as files of them, live sources over breaks, and nothing secret told."""

from __future__ import annotations

import io
import logging
import sys
import threading
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from proxy_train.video import live_source
from proxy_train.video.address import Address, without_secrets
from proxy_train.video.live import pictures
from proxy_train.video.live_source import Handover, read_address
from proxy_train.video.picture import Frame
from proxy_train.video.video import Video
from search_space.errors import DataError
from tests.proxy_train.video.rtsp_server import PASSWORD, USER, rtsp_server
from tests.proxy_train.video.servers import (
    FPS,
    Answer,
    free_port,
    numbers,
    sender,
    silent_server,
    web_server,
    write_film,
)
from tests.proxy_train.video.test_pictures import write_scene

SIZE = 24


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.ts", kind="mpegts")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks of no length, twice."""
    monkeypatch.setattr(live_source, "PAUSES", (0.0, 0.0))


def expected(path: Path, fps: float = FPS) -> list[Frame]:
    return list(Video(path).frames(fps, SIZE))


def address(url: str, seconds: float) -> Address:
    parsed = Address.parse(url)
    assert parsed is not None
    return replace(parsed, opening=seconds, reading=seconds)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://user:pass@10.0.0.9:554/s", "rtsp://10.0.0.9:554/s"),
        ("rtsp://user:p@ss@10.0.0.9/s", "rtsp://10.0.0.9/s"),
        ("rtsp://user:pa/ss@10.0.0.9/s", "rtsp://..."),
        ("rtsp://user:pa?ss@10.0.0.9/s", "rtsp://..."),
        ("rtsp://user:pa#ss@10.0.0.9/s", "rtsp://..."),
        ("https://user@host/a/b.mp4", "https://host/a/b.mp4"),
        ("http://host/v.mp4?token=pass&x=1", "http://host/v.mp4"),
        ("http://host?user=a&password=p@ss", "http://..."),
        ("udp://@239.0.0.1:1234", "udp://239.0.0.1:1234"),
        ("tcp://[::1]:80?listen=1", "tcp://[::1]:80"),
    ],
)
def test_names_of_addresses_have_no_secrets(source: str, name: str) -> None:
    parsed = Address.parse(source)
    assert parsed is not None and parsed.url == source and parsed.name == name == without_secrets(source)


@pytest.mark.parametrize(
    "source", ["video.mp4", "/data/a:b.mp4", "C:\\videos\\a.mp4", "camera:1", "./-", "a://b"[:1]]
)
def test_paths_and_cameras_are_no_addresses(source: str) -> None:
    assert Address.parse(source) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("0", ["0: no such file", "camera:0"]),
        ("12", ["12: no such file", "camera:12"]),
        ("srt://user:pass@host:1", ["srt://host:1", "srt:// are not read", "rtsp, rtsps, http"]),
        ("file:///etc/passwd", ["file:// are not read", "give the path"]),
        ("concat://a|b", ["concat:// are not read"]),
        ("-", ["nothing is piped", "cat video.ts"]),
    ],
)
def test_what_cannot_be_read_has_a_hint(
    source: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    with pytest.raises(DataError) as refused:
        pictures(source, FPS, SIZE)
    told = f"{refused.value.message} {refused.value.hint}"
    assert all(word in told for word in words) and "pass@" not in told


@pytest.mark.parametrize("fps", [FPS, FPS / 2, 3 * FPS])
@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_a_recording_gives_the_pictures_of_its_file(kind: str, fps: float, tmp_path: Path) -> None:
    path = write_film(tmp_path / "film", kind=kind)
    body = path.read_bytes()
    with web_server([Answer(body, len(body))]) as port:
        seen = list(pictures(f"http://127.0.0.1:{port}/film", fps, SIZE))
    np.testing.assert_array_equal(seen, expected(path, fps))
    assert set(numbers(seen)) == set(range(0, 24, 2 if fps < FPS else 1))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_pixels_have_the_same_shape_as_in_a_file(suffix: str, tmp_path: Path) -> None:
    shown, picture = [], np.zeros((96, 128, 3), np.uint8)
    picture[:, :32] = 255
    for aspect in (Fraction(1), Fraction(4, 3)):
        path = tmp_path / f"film{suffix}"
        write_scene(path, picture, aspect=aspect, options={"crf": "4"})
        shown.append(list(Video(path).frames(25, SIZE)))
        body = path.read_bytes()
        # A recording, and of MPEG-TS a live source as well: Matroska says how long it is.
        kinds = [[Answer(body, len(body))], [Answer(body), Answer(status=404)]]
        for answers in kinds if suffix == ".ts" else kinds[:1]:
            with web_server(answers) as port:
                seen = list(pictures(f"http://127.0.0.1:{port}/film", 25, SIZE))
            np.testing.assert_array_equal(seen, shown[-1])
    assert not np.array_equal(shown[0], shown[1])


def test_a_recording_whose_clock_starts_over_goes_on(tmp_path: Path) -> None:
    parts = [write_film(tmp_path / f"{n}.ts", 24, 24 * n, "mpegts").read_bytes() for n in range(3)]
    body = b"".join(parts)
    with web_server([Answer(body, len(body))]) as port:
        seen = numbers(list(pictures(f"http://127.0.0.1:{port}/joined.ts", FPS, SIZE)))
    assert seen == list(range(72))


@pytest.mark.parametrize("kind", ["mkv", "ts"])
def test_a_recording_that_breaks_off_is_shown_as_far_as_it_goes(kind: str, tmp_path: Path) -> None:
    path = write_film(tmp_path / f"film.{kind}", 72)
    body = path.read_bytes()
    with web_server([Answer(body[: len(body) // 2], len(body))]) as port:
        source, seen = pictures(f"http://127.0.0.1:{port}/film", FPS, SIZE), list[Frame]()
        with pytest.raises(DataError, match=r"http://127\.0\.0\.1:\d+/film.*(cut off|ends at)"):
            seen.extend(source)  # extends as far as it goes
    assert 8 < len(seen) < 70 and numbers(seen) == list(range(len(seen)))


@pytest.mark.usefixtures("at_once")
def test_a_live_source_goes_on_after_breaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = [write_film(tmp_path / f"{n}.ts", 24, 24 * n, "mpegts").read_bytes() for n in range(3)]
    answers = [Answer(parts[0]), Answer(status=503), Answer(parts[1]), Answer(parts[2]), Answer(status=404)]
    with web_server(answers) as port, caplog.at_level(logging.WARNING):
        seen = list(pictures(f"http://user:pass@127.0.0.1:{port}/live?key=pass", FPS, SIZE))
    assert numbers(seen) == list(range(72))
    told = [record.getMessage() for record in caplog.records]
    name = f"http://127.0.0.1:{port}/live"
    assert [line.partition(", after ")[2][:7] for line in told[:-1]] == ["3.00 s:"] * 2 + ["6.00 s:"] + [
        "9.00 s:"
    ] * 2
    assert "called again in 0 s (1 of 2), and the network keeps what it saw" in told[0]
    assert told[-1] == f"{name} is over after 9.00 s: its sender closed it"
    assert all(line.startswith(name) and "pass" not in line for line in told)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("end", "reason"), [("reset", "Connection reset by peer"), ("silent", "nothing came for 2 s")]
)
def test_a_live_source_that_breaks_off_for_good_is_said(end: str, reason: str, film: Path) -> None:
    with web_server([Answer(film.read_bytes(), end=end), Answer(status=404)]) as port:
        seen = list[Frame]()
        with pytest.raises(DataError, match=rf"after \d\.\d\d s: {reason}") as broken:
            seen.extend(read_address(address(f"http://u:pass@127.0.0.1:{port}/live", 2.0), FPS, SIZE))
    # A reset takes with it what was not read yet.
    assert numbers(seen) == list(range(len(seen))) and (end == "reset" or len(seen) == 24)
    assert broken.value.__cause__ is None and "pass" not in broken.value.message


@pytest.mark.parametrize("transport", ["TCP", "UDP"])
@pytest.mark.usefixtures("at_once")
def test_a_camera_of_a_network_goes_on_after_a_break(
    transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    films = [write_film(tmp_path / f"{n}.ts", 24, 24 * n, "mpegts") for n in range(2)]
    with rtsp_server(films, transport=transport) as port, caplog.at_level(logging.WARNING):
        seen = list(pictures(f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{port}/s?key={PASSWORD}", FPS, SIZE))
    assert numbers(seen) == list(range(48))
    assert f"rtsp://127.0.0.1:{port}/s, after 3.00 s" in caplog.text and PASSWORD not in caplog.text


def test_a_camera_that_wants_another_password_says_so(film: Path) -> None:
    with rtsp_server([film]) as port, pytest.raises(DataError, match="401 Unauthorized") as refused:
        list(pictures(f"rtsp://{USER}:wrong@127.0.0.1:{port}/s", FPS, SIZE))
    assert "wrong" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize("kind", ["mpegts", "matroska"])
@pytest.mark.usefixtures("at_once")
def test_a_sender_is_called_and_calls(kind: str, film: Path) -> None:
    port = free_port()
    with sender(f"tcp://127.0.0.1:{port}?listen=1", film, kind):
        seen = None
        while seen is None:
            try:
                seen = list(pictures(f"tcp://127.0.0.1:{port}", FPS, SIZE))
            except DataError as error:
                assert "refused" in error.message  # the sender is not there yet
    np.testing.assert_array_equal(seen, expected(film))
    port = free_port()
    with sender(f"tcp://127.0.0.1:{port}", film, kind):
        # It would wait for another call for ever: what was sent is all that is asked for.
        called = list(islice(pictures(f"tcp://127.0.0.1:{port}?listen=1", FPS, SIZE), 20))
    np.testing.assert_array_equal(called, expected(film)[:20])


def test_what_is_sent_to_nobody_in_particular_is_read(film: Path) -> None:
    port = free_port()
    with sender(f"udp://127.0.0.1:{port}?pkt_size=1316", film, rounds=1000):
        seen = numbers(list(islice(pictures(f"udp://127.0.0.1:{port}", FPS, SIZE), 16)))
    # It is joined at a key frame.
    assert seen[0] % FPS == 0 and len(seen) == 16


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
def test_nobody_there_is_said_at_once(scheme: str) -> None:
    with pytest.raises(DataError) as refused:
        list(pictures(f"{scheme}://user:pass@127.0.0.1:{free_port()}/s?token=pass", FPS, SIZE))
    assert "Connection refused" in refused.value.message and f"{scheme}://127.0.0.1:" in refused.value.message
    assert "pass" not in f"{refused.value} {refused.value.hint}" and refused.value.__cause__ is None


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https", "tcp", "udp"])
def test_one_that_says_nothing_is_not_waited_for(scheme: str) -> None:
    with silent_server() as port, pytest.raises(DataError, match=r"cannot be read: nothing came for 0\.5 s"):
        list(read_address(address(f"{scheme}://127.0.0.1:{port}/s", 0.5), FPS, SIZE))


def test_a_page_is_no_video() -> None:
    page = b"<html><body>log in</body></html>" * 50
    with web_server([Answer(page, len(page))]) as port, pytest.raises(DataError, match="cannot be read"):
        list(pictures(f"http://127.0.0.1:{port}/", FPS, SIZE))


def test_a_playlist_that_names_files_of_this_machine_opens_none(film: Path) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{film}\n#EXT-X-ENDLIST\n".encode()
    with web_server([Answer(playlist, len(playlist))]) as port, pytest.raises(DataError):
        list(pictures(f"http://127.0.0.1:{port}/list.m3u8", FPS, SIZE))


@pytest.mark.usefixtures("at_once")
def test_of_a_live_source_the_newest_pictures_are_kept(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Handover] = []

    class Watched(Handover):
        def __init__(self, most: int) -> None:
            super().__init__(most)
            self.over = threading.Event()
            made.append(self)

        def end(self, error: Exception | None = None) -> None:
            super().end(error)
            self.over.set()

    monkeypatch.setattr(live_source, "Handover", Watched)
    monkeypatch.setattr(live_source, "MOST_WAITING", 4)
    with web_server([Answer(film.read_bytes()), Answer(status=404)]) as port:
        source = pictures(f"http://127.0.0.1:{port}/live", FPS, SIZE)
        # One of those that are kept, if all came before it is taken, as on a busy machine.
        (first,) = numbers([next(source)])
        watched = made[0]
        assert isinstance(watched, Watched)
        watched.over.wait()  # the network is slower than all that is sent
        left = list(source)
    assert numbers(left) == [number for number in (20, 21, 22, 23) if number != first]
    assert watched.dropped == 24 - 1 - len(left)


def test_a_recording_waits_for_who_looks_at_it(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_source, "MOST_WAITING", 2)
    body = film.read_bytes()
    with web_server([Answer(body, len(body))]) as port:
        assert numbers(list(pictures(f"http://127.0.0.1:{port}/film", FPS, SIZE))) == list(range(24))


def test_a_handover_ends_for_both_sides() -> None:
    picture = np.zeros((1, 1, 3), np.uint8)
    handover = Handover(1)
    handover.put(picture)
    waiting = threading.Thread(target=handover.put, args=(picture,))
    waiting.start()
    handover.close()  # the thread that waits for room goes on
    waiting.join()
    failed = Handover(2)
    failed.put(picture)
    failed.end(DataError("over"))
    source = iter(failed)
    assert next(source) is picture
    with pytest.raises(DataError, match="over"):
        next(source)
