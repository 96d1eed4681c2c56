"""The facts that a machine of AWS is told about itself, from a server on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Metadata:
    """The server's address, and the notice that it gives; as on AWS, there is none before it is known."""

    address: str = ""
    notice: str | None = None
    asked: int = 0

    def take_away(self, end: datetime) -> None:
        """The machine is going to be taken away."""
        self.notice = json.dumps({"action": "terminate", "time": f"{end:%Y-%m-%dT%H:%M:%SZ}"})


@contextmanager
def metadata() -> Iterator[Metadata]:
    """A server that wants a token, as EC2's metadata service of version 2 does."""
    state = Metadata()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            seconds = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            known = self.path == "/latest/api/token" and seconds.isdigit() and 0 < int(seconds) <= 21600
            self._answer(200 if known else 400, "the token")

        def do_GET(self) -> None:
            state.asked += 1
            if self.headers.get("X-aws-ec2-metadata-token") != "the token":
                self._answer(401, "")
            elif self.path != "/latest/meta-data/spot/instance-action" or state.notice is None:
                self._answer(404, "")
            else:
                self._answer(200, state.notice)

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        state.address = f"http://127.0.0.1:{server.server_port}/latest"
        try:
            yield state
        finally:
            server.shutdown()
