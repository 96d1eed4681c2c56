"""A folder that any web server serves: a page that runs an exported network on a camera or a video file."""

from __future__ import annotations

import html
import shutil
from dataclasses import replace
from importlib import resources
from pathlib import Path
from string import Template

from results.runtimes.onnxruntime_web import PACKAGE, TRIED, package_folder, package_version
from results.runtimes.sidecar import Sidecar, sidecar_of
from search_space.errors import ExportError

MODEL = "step.onnx"
_SCRIPTS = ("browser.js", "browser.css", "worker.js", "network.js", "pictures.js")
_RUNTIME = {"ort.wasm.bundle.min.mjs": "ort.js", "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm"}
PAGE_FILES = ("index.html", *_SCRIPTS, *_RUNTIME.values(), MODEL, f"{MODEL}.json")


def write_browser_page(export: Path, folder: Path) -> Path:
    """Write a page that runs an exported step in a browser, with all that it needs.

    Files that the page had before are replaced; ``index.html`` is written last.

    Args:
        export: step exported for ``onnxruntime-web``, its sidecar beside it.
        folder: folder to write into; created if it does not exist.

    Returns:
        The path of ``index.html``.

    Raises:
        ExportError: the export is another one, or the npm package is missing or has other files.
    """
    sidecar = Sidecar.read(sidecar_of(export))
    if sidecar.runtime != PACKAGE or sidecar.form != "step" or sidecar.streams != 1:
        raise ExportError(
            f"{export} is the {sidecar.form} form for {sidecar.runtime}, of {sidecar.streams} videos",
            hint=f"export a step of one with --runtime {PACKAGE}",
        )
    distributed = package_folder() / "dist"
    missing = [name for name in _RUNTIME if not (distributed / name).is_file()]
    if missing:
        raise ExportError(
            f"{PACKAGE} {package_version()} has no {missing[0]} in {distributed}",
            hint=f"npm install {PACKAGE}@{TRIED}",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in _SCRIPTS:
        (folder / name).write_text(_own(name), encoding="utf-8")
    for theirs, ours in _RUNTIME.items():
        shutil.copyfile(distributed / theirs, folder / ours)
    shutil.copyfile(export, folder / MODEL)
    replace(sidecar, file=MODEL).write(sidecar_of(folder / MODEL))
    page = folder / "index.html"
    page.write_text(Template(_own("index.html")).substitute(_words(sidecar)), encoding="utf-8")
    return page


def is_page_file(path: Path) -> bool:
    """Return whether a file is in a folder that ``write_browser_page`` has written into, wholly or not."""
    script = path.parent / _SCRIPTS[0]
    if not script.is_file():
        return False
    first = _own(_SCRIPTS[0]).encode().partition(b"\n")[0]
    with script.open("rb") as file:
        return file.read(len(first)) == first


def _words(sidecar: Sidecar) -> dict[str, str]:
    size, fps = sidecar.preprocessing.size, sidecar.preprocessing.fps
    words = {
        "title": f"{sidecar.name}, frame by frame",
        "subtitle": f"{len(sidecar.labels)} labels; {size} x {size} pixels, {fps:g} frames a second",
        "footer": f"ONNX Runtime for the web {package_version()} (MIT licence) runs the network.",
    }
    return {key: html.escape(text) for key, text in words.items()}


def _own(name: str) -> str:
    return (resources.files("results.browser") / name).read_text(encoding="utf-8")
