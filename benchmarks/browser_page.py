"""How fast a page of an export is in Chromium: until its first frame, and a frame of a stream, in one thread.

    pip install playwright                                   # Chromium is the system's own
    npm install onnxruntime-web@1.30.0
    movinas export MEMBER video.mp4 --runtime onnxruntime-web --page demo/
    python -m benchmarks.browser_page demo/ [--frames 100] [--width 1280 --height 720]

The pictures are noise of the given size; they are scaled in the page as a camera's are.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import importlib
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
SEE = """async ([width, height, frames]) => {
    const pixels = new ImageData(width, height), times = [];
    for (let number = 0; number < frames; number++) {
        for (let at = 0; at < pixels.data.length; at += 4)
            pixels.data[at] = pixels.data[at + 1] = pixels.data[at + 2] = (at * 7919 + number * 104729) >> 4;
        const picture = await createImageBitmap(pixels), started = performance.now();
        const answer = await movinas.see(picture);
        times.push([performance.now() - started, answer.milliseconds, answer.fitting]);
    }
    return times;
}"""


class Silent(http.server.SimpleHTTPRequestHandler):
    """A static web server that does not write a line for each request."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def main() -> None:
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    given = parser.parse_args()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Silent, directory=given.page)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with importlib.import_module("playwright.sync_api").sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        tab: Any = chromium.new_page()
        began = time.perf_counter()
        tab.goto(f"http://127.0.0.1:{server.server_port}/")
        tab.locator("#status", has_text="Ready").wait_for()
        tab.evaluate(SEE, [given.width, given.height, 1])
        print(f"first frame: {time.perf_counter() - began:.2f} s after the page was asked for")
        times = np.array(tab.evaluate(SEE, [given.width, given.height, given.frames]))
        chromium.close()
    server.shutdown()
    for name, row in zip(("a frame in all", "the network", "scaling"), times.T, strict=True):
        print(f"{name}: median {np.median(row):.1f} ms, 95th percentile {np.quantile(row, 0.95):.1f} ms")


if __name__ == "__main__":
    main()
