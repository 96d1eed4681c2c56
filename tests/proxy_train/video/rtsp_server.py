"""A camera of a network: an RTSP server on this machine, whose RTP packets are FFmpeg's own."""

from __future__ import annotations

import base64
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import av

USER, PASSWORD = "user", "pass"
_SDP = "v=0\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track\r\n"


def rtp_packets(film: Path) -> list[bytes]:
    """The RTP packets of a film, as FFmpeg sends them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        url = f"rtp://127.0.0.1:{receiver.getsockname()[1]}"
        with av.open(str(film)) as given, av.open(url, "w", format="rtp") as out:
            stream = given.streams.video[0]
            track = out.add_stream_from_template(stream)
            for packet in given.demux(stream):
                if packet.dts is not None:
                    packet.stream = track
                    out.mux(packet)
        receiver.setblocking(False)
        packets = []
        while True:
            try:
                packets.append(receiver.recv(65536))
            except BlockingIOError:
                return packets


@contextmanager
def rtsp_server(films: Sequence[Path], *, transport: str = "TCP") -> Iterator[int]:
    """A camera on the port that is yielded: each call gets the next film, and is closed after it.

    Args:
        films: films of H.264; calls after the last one are refused.
        transport: ``TCP`` sends in the call itself, ``UDP`` to the caller's port and refuses the other.
    """
    left = [rtp_packets(film) for film in films]

    class Call(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            port = 0  # of the caller, who takes packets there
            while request := self.rfile.readline().decode().split():
                fields = dict[str, str]()
                while line := self.rfile.readline().decode().strip():
                    name, _, text = line.partition(": ")
                    fields[name.lower()] = text
                asked = fields.get("transport", "")
                if fields.get("authorization") != f"Basic {_CREDENTIALS}":
                    self.answer(fields, "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
                elif not left:
                    self.answer(fields, "404 Not Found")
                elif request[0] == "DESCRIBE":
                    self.answer(fields, "200 OK", "Content-Type: application/sdp", body=_SDP)
                elif request[0] == "SETUP" and ("/TCP" in asked) != (transport == "TCP"):
                    self.answer(fields, "461 Unsupported Transport")
                elif request[0] == "SETUP":
                    ports = asked.partition("client_port=")[2].partition(";")[0]
                    port = int(ports.partition("-")[0] or 0)
                    where = (
                        ";interleaved=0-1" if transport == "TCP" else f";client_port={ports};server_port=9-10"
                    )
                    kind = "RTP/AVP/TCP" if transport == "TCP" else "RTP/AVP"
                    self.answer(fields, "200 OK", "Session: 1", f"Transport: {kind};unicast{where}")
                elif request[0] == "PLAY":
                    self.answer(fields, "200 OK", "Session: 1")
                    self.send(left.pop(0), port)
                    return
                else:
                    self.answer(fields, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY")

        def answer(self, fields: dict[str, str], status: str, *lines: str, body: str = "") -> None:
            length = [f"Content-Length: {len(body)}"] if body else []
            head = [f"RTSP/1.0 {status}", f"CSeq: {fields['cseq']}", *lines, *length]
            self.wfile.write(("\r\n".join(head) + "\r\n\r\n" + body).encode())

        def send(self, packets: Sequence[bytes], port: int) -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for packet in packets:
                    if port:
                        sender.sendto(packet, ("127.0.0.1", port))
                    else:
                        self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                    time.sleep(0.005)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Call)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


_CREDENTIALS = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
