"""The page in a real browser on a real video, beside PyTorch; the pictures beside those of the training."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import movinas
from results.browser.browser_page import PAGE_FILES, write_browser_page
from results.export.export import ExportTarget, export_network
from results.inference.runners import ExportRunner
from results.member import write_member
from results.runtimes.onnxruntime_web import PACKAGE, package_folder
from results.runtimes.preprocessing import Preprocessing
from search_space.errors import ExportError
from tests.results.synthetic import LABELS, SIZE, clip, network

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# What a browser would look up by itself on the first start; the page's own requests are counted.
QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync")
FRAMES = 100


def require_node() -> str:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    return node


def require_package() -> None:
    require_node()
    try:
        package_folder()
    except ExportError:
        pytest.skip(f"the npm package {PACKAGE} is not installed")


def module(name: str) -> str:
    """A script of the page as an address that Node.js imports a module from."""
    text = (resources.files("results.browser") / name).read_text(encoding="utf-8")
    return f"data:text/javascript,{quote(text)}"


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(90, 160, 24), (160, 90, 24), (24, 24, 24), (33, 57, 32), (720, 1280, 172), (10, 14, 24), (24, 31, 24)],
)
def test_pictures_are_fitted_as_for_training(height: int, width: int, size: int, tmp_path: Path) -> None:
    node = require_node()
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    rgba = np.concatenate([picture, np.full((height, width, 1), 255, np.uint8)], 2)
    (tmp_path / "picture").write_bytes(rgba.tobytes())
    script = f"""
        import {{ readFileSync, writeFileSync }} from "node:fs";
        const {{ fit }} = await import({json.dumps(module("pictures.js"))});
        const pixels = fit(readFileSync("picture"), {width}, {height}, {size});
        writeFileSync("pixels", new Uint8Array(pixels.buffer));
    """
    subprocess.run([node, "--input-type=module", "-e", script], cwd=tmp_path, check=True)
    got = np.frombuffer((tmp_path / "pixels").read_bytes(), np.float32).reshape(1, 3, size, size)
    np.testing.assert_array_equal(got, Preprocessing(size, 8.0).apply(picture))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a small network."""
    require_package()
    folder = tmp_path_factory.mktemp("page")
    result = export_network(
        network(), folder / "member", clip(), name="A0", labels=LABELS, target=ExportTarget(PACKAGE)
    )
    assert result.path is not None
    assert write_browser_page(result.path, folder / "page") == folder / "page" / "index.html"
    return folder / "page"


def test_a_page_has_all_of_its_files(page: Path) -> None:
    assert sorted(path.name for path in page.iterdir()) == sorted(PAGE_FILES)
    assert "A0, frame by frame" in (page / "index.html").read_text()
    about = json.loads((page / "step.onnx.json").read_text())
    assert about["runtime"] == PACKAGE and about["versions"][PACKAGE]
    # It is an export as any other, under the name that it has here.
    assert about["file"] == "step.onnx" and ExportRunner(page / "step.onnx").runtime == PACKAGE


def test_other_exports_get_no_page(tmp_path: Path) -> None:
    result = export_network(network(), tmp_path, clip(), name="A0", labels=LABELS)
    assert result.path is not None
    with pytest.raises(ExportError, match="is the step form for onnx"):
        write_browser_page(result.path, tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_node()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match=r"run npm install onnxruntime-web@"):
        export_network(
            network(), tmp_path / "a", clip(), name="A0", labels=LABELS, target=ExportTarget(PACKAGE)
        )
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"install Node\.js"):
        export_network(
            network(), tmp_path / "a", clip(), name="A0", labels=LABELS, target=ExportTarget(PACKAGE)
        )
    assert list(tmp_path.rglob("*.onnx*")) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--page", "demo"], "--page demo"),
        (["--runtime", PACKAGE, "--form", "clip", "--page", "demo"], "without --form clip and --streams"),
        (["--runtime", PACKAGE, "--streams", "4", "--page", "demo"], "without --form clip and --streams"),
        (["--runtime", "ncnn", "--streams", "4"], "ncnn has no export of 4 streams"),
        (["--runtime", "ncnn", "--form", "clip"], "ncnn has no export of the clip form"),
        (["--streams", "4", "--form", "clip"], "the clip form of 4 streams"),
        (["--runtime", PACKAGE, "--page", "A0"], "A0 holds step.onnx.json, which this command did not write"),
        (["--runtime", "onnx", "--runtime", "nothing"], "runtime 'nothing' is not known"),
        (["--runtime", PACKAGE, "--int8"], "has no int8 export"),
    ],
)
def test_pages_that_cannot_be_are_refused_before_work(
    options: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_member(tmp_path / "A0", "A0", network(), recipe_yaml="", labels=LABELS, metrics={})
    (tmp_path / "A0" / "step.onnx.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["movinas", "export", "A0", "video.mp4", *options])
    with pytest.raises(SystemExit) as ended:
        movinas.main()
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def address(page: Path) -> Iterator[str]:
    """A plain web server of the page."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Silent, directory=page)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def browser() -> Iterator[Any]:
    """A Chromium that remembers what it asked for and complained of."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        tab = started.new_page(viewport={"width": 360, "height": 720})
        tab.set_default_timeout(300_000)  # a busy machine takes its time
        tab.asked, tab.complaints = [], []
        tab.on("request", lambda request: tab.asked.append(request.url))
        tab.on("console", lambda message: tab.complaints.append(message.text))
        tab.on("pageerror", lambda error: tab.complaints.append(str(error)))
        yield tab
        started.close()


def says(browser: Any, words: str) -> None:
    """Wait until the page's status begins with words."""
    browser.locator("#status", has_text=words).wait_for()


def film(path: Path) -> Path:
    """Two seconds of WebM, which every browser plays: a square that moves over noise."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=24)
        stream.width, stream.height, stream.pix_fmt = 80, 60, "yuv420p"
        for picture in clip(48, 60, 80):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


# The frames of the video that the browser itself has decoded, what the page made of them, and what it said.
SEEN = """async ([address, count]) => {
    const video = document.createElement("video");
    video.muted = true;
    video.src = URL.createObjectURL(await (await fetch(address)).blob());
    await new Promise((done) => { video.onloadeddata = done; });
    const pixels = [], logits = [];
    for (let number = 0; number < count; number++) {
        video.currentTime = (number % 48) / 24 + 0.01;
        await new Promise((done) => { video.onseeked = done; });
        const answer = await movinas.see(await createImageBitmap(video));
        pixels.push(Array.from(answer.pixels));
        logits.push(Array.from(answer.logits));
    }
    return { pixels, logits };
}"""


# All that the page says from now on, however short it stands there.
LISTEN = """() => {
    window.said = [];
    const status = document.getElementById("status");
    new MutationObserver(() => said.push(status.textContent)).observe(status, { childList: true });
}"""


@pytest.mark.timeout(600)
def test_the_page_says_what_pytorch_says(page: Path, address: str, browser: Any, tmp_path: Path) -> None:
    film(page / "film.webm")
    browser.goto(address)
    says(browser, "Ready")
    seen = browser.evaluate(SEEN, [f"{address}film.webm", FRAMES])
    pixels = np.array(seen["pixels"], np.float32).reshape(FRAMES, 1, 3, 1, SIZE, SIZE)
    assert len({frame.tobytes() for frame in pixels}) > 40
    model = network().eval()
    state, expected = model.initial_state(1), list[NDArray[np.float32]]()
    with torch.no_grad():
        for frame in pixels:
            logits, state = model.step(torch.from_numpy(frame), state)
            expected.append(logits[0].numpy())
    difference = np.abs(np.array(seen["logits"]) - np.array(expected)).max()
    assert difference <= 1e-4 * np.abs(expected).max()
    assert browser.complaints == []
    assert all(asked.startswith((address, "blob:", "data:")) for asked in browser.asked)


@pytest.mark.timeout(600)
def test_the_page_by_keyboard_on_a_narrow_screen(address: str, browser: Any, tmp_path: Path) -> None:
    browser.goto(address)
    says(browser, "Ready")
    browser.keyboard.press("Tab")
    assert browser.evaluate("document.activeElement.id") == "camera"
    browser.keyboard.press("Tab")
    assert browser.evaluate("document.activeElement.id") == "file"
    with browser.expect_file_chooser() as chooser:
        browser.keyboard.press("Enter")
    chooser.value.set_files(str(film(tmp_path / "film.webm")))
    says(browser, "The end")
    assert int(browser.inner_text("#frames")) > 1
    assert browser.locator("#labels li").count() == len(LABELS)
    # Nothing is wider than the screen.
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    browser.evaluate(LISTEN)
    browser.focus("#again")
    browser.keyboard.press("Enter")
    while not any(words.startswith("The end") for words in browser.evaluate("said")):
        browser.wait_for_timeout(100)
    assert any(words.startswith("Watching") for words in browser.evaluate("said"))
    assert browser.complaints == []


@pytest.mark.timeout(600)
def test_what_no_browser_plays_is_said(address: str, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.webm").write_text("no video")
    browser.goto(address)
    says(browser, "Ready")
    browser.set_input_files("#file", str(tmp_path / "notes.webm"))
    says(browser, "The source cannot be opened")
    assert browser.get_attribute("#status", "class") == "failed"
