"""Video files, opened: their film, of all the picture tracks that a file may have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import av.format
import av.stream

from search_space.errors import DataError
from search_space.file_kind import no_file

_REMEDIES = {
    "a folder": "give the path of a video in it",
    "a named pipe": "save what it gives as a file; movinas stream reads it as - < PIPE",
    "a socket": "give the path of a video",
    "a device": "give the path of a video",
}
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


class OpenVideo(NamedTuple):
    """A video file that is open for reading.

    Attributes:
        path: the file.
        container: its container.
        stream: its film, the track that is decoded.
        note: other tracks that it might be, or empty.
    """

    path: Path
    container: av.container.InputContainer
    stream: av.VideoStream
    note: str

    @property
    def joins_parts(self) -> bool:
        """Whether its format lets parts be joined: time stamps may jump, and no header tells a length."""
        flags = av.format.Flags(self.container.format.flags)
        return av.format.Flags.ts_discont in flags


@contextmanager
def open_video(path: Path) -> Iterator[OpenVideo]:
    """Yield an open file; FFmpeg's errors become a DataError that names the file."""
    try:
        kind = no_file(path)
        if kind:
            raise DataError(f"{path}: {kind}", hint=_REMEDIES.get(kind, ""))
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty")
        # An absolute path is never taken for a protocol, whatever characters it holds.
        with av.open(path.absolute(), metadata_errors="replace") as container:
            yield OpenVideo(path, container, *find_film(path, container))
    except av.error.FFmpegError as error:
        raise DataError(f"{path}: not a readable video: {error.strerror}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def find_film(source: Path | str, container: av.container.InputContainer) -> tuple[av.VideoStream, str]:
    """Return the picture track that players show, ready to be decoded, and a note if there are others.

    It is FFmpeg's own choice, by the file's mark, the number of pictures and the bit rate. Covers are none,
    nor is a single picture beside a film, as far as headers count pictures.

    Args:
        source: name for messages.
        container: container that is open for reading.

    Raises:
        DataError: there is no track of pictures, or none that FFmpeg can decode.
    """
    # A sound file's cover is a video stream too, of one picture.
    covers = av.stream.Disposition.attached_pic
    tracks = [track for track in container.streams.video if not track.disposition & covers]
    if not tracks:
        raise DataError(f"{source}: no picture stream in it")
    known = [track for track in tracks if getattr(track, "codec_context", None) is not None]
    if not known:
        raise DataError(f"{source}: its pictures are coded in a way that FFmpeg cannot decode here")
    film, note = known[0], ""
    if len(tracks) > 1:
        films = [track for track in known if track.frames != 1] or known
        best = container.streams.best("video")
        marked = [track for track in films if track.disposition & av.stream.Disposition.default]
        film = next((track for track in films if track is best), (marked or films)[0])
        number = tracks.index(film)
        place = _ORDINALS[number] if number < len(_ORDINALS) else f"{number + 1}th"
        note = f"{len(tracks)} picture tracks, the {place} is used"
    # One thread: workers are processes, and more threads have deadlocked with FFmpeg's logging.
    film.codec_context.thread_count = 1
    return film, note
