"""Servers on this machine that send videos as cameras and web servers do, in order and out of it."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

FPS = 8
_SENDER = """
import sys, time
import av
url, path, kind, rounds = *sys.argv[1:4], int(sys.argv[4])
out = None
while out is None:
    try:
        out = av.open(url, "w", format=kind)
        with av.open(path) as given:
            track = out.add_stream_from_template(given.streams.video[0])
            packets = [packet for packet in given.demux(given.streams.video[0]) if packet.dts is not None]
        out.start_encoding()
    except av.error.ConnectionRefusedError:
        out = None
        time.sleep(0.05)
length = max(packet.dts + packet.duration for packet in packets) - packets[0].dts
for number in range(rounds):
    for packet in packets:
        packet.stream = track
        packet.dts += length * bool(number)
        packet.pts += length * bool(number)
        out.mux(packet)
        time.sleep(0.01 * (rounds > 1))
out.close()
"""


def write_film(path: Path, frames: int = 24, first: int = 0, kind: str | None = None) -> Path:
    """A film of up to 76 frames, whose grey levels are their numbers; see :func:`numbers`."""
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"g": str(FPS), "bf": "2", "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(first, first + frames):
            picture = np.full((48, 64, 3), 20 + 3 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def numbers(seen: Sequence[NDArray[np.uint8]]) -> list[int]:
    """The numbers of a film's frames, by their grey levels."""
    return [round((float(pixels.mean()) - 18.5) / 3) for pixels in seen]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def sender(url: str, path: Path, kind: str = "mpegts", rounds: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A process that sends a film to an address, or to whoever calls it there (``?listen=1``)."""
    words = [sys.executable, "-c", _SENDER, url, str(path), kind, str(rounds)]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Answer:
    """What a web server answers: a body, how long it says that it is, and how the connection ends."""

    body: bytes = b""
    length: int | None = None
    end: str = "closed"
    status: int = 200


@contextmanager
def web_server(answers: Sequence[Answer]) -> Iterator[int]:
    """A web server on the port that is yielded, with an answer for each call, the last one for all others."""
    left, released = list(answers), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(answer.status)
            self.send_header("Connection", "close")
            if answer.length is not None:
                self.send_header("Content-Length", str(answer.length))
            self.end_headers()
            self.wfile.write(answer.body)
            if answer.end == "silent":
                self.wfile.flush()
                released.wait()
            if answer.end == "reset":
                self.wfile.flush()
                released.wait(0.5)  # what was sent is read first
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        released.set()
        server.shutdown()
        server.server_close()


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes calls and never says anything."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])
