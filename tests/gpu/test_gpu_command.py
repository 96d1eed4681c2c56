"""``python -m benchmarks.gpu`` tried on the CPU: every part, and what becomes of one that fails or hangs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from benchmarks.gpu import command
from benchmarks.gpu.command import PARTS, Part, outcome_of
from benchmarks.gpu.equality import limit, misses
from benchmarks.gpu.given import Facts, Given, Unavailable
from benchmarks.gpu.page import gpu_page
from benchmarks.gpu.throughput import fits, largest
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.network.model import MoViNet

ROOT = Path(__file__).parent.parent.parent


def run(folder: Path, *parts: str) -> Facts:
    """What the script finds on the CPU; its page has to show all of it."""
    words = ["--device", "cpu", "--quick", "--out", str(folder), "--parts", *parts]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *words],
        check=False,
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: Facts = json.loads((folder / "gpu.json").read_text())
    page = (folder / "gpu.html").read_text()
    for name in parts:
        assert found["parts"][name]["status"] == "done" and f'<section id="{name}">' in page
    assert not re.search(r"""(src|href)=["'](https?:|//)""", page)
    outcomes: Facts = found["parts"]
    return outcomes


def test_quick_parts_on_the_cpu(tmp_path: Path) -> None:
    parts = run(tmp_path, "training", "decoding")
    trained = parts["training"]["facts"]["A0-base"]
    assert trained["times as fast as plain"]["rounds"] >= 3
    decoded = parts["decoding"]["facts"]["A0-base"]
    wanted = trained["ours clips/s"]["median"] / decoded["clips/s of a core"]
    assert wanted <= decoded["cores wanted"] < wanted + 1


@pytest.mark.slow
def test_every_part_on_the_cpu(tmp_path: Path) -> None:
    parts = run(tmp_path, *PARTS)
    assert len(parts["equality"]["facts"]["misses"]) == 8
    assert parts["batch"]["facts"]["A0-base"]["largest batch"] == 3
    assert parts["exports"]["facts"]["step"]["difference"] == 0
    assert parts["fractions"]["facts"]["four share"]["measurements"] >= 3
    assert parts["search"]["facts"]["most at a time"] >= 1


def _module(monkeypatch: pytest.MonkeyPatch, **functions: object) -> None:
    module = ModuleType("benchmarks.gpu.made_up")
    for name, function in functions.items():
        setattr(module, name, function)
        monkeypatch.setitem(command.PARTS, name, Part("?", 1, f"made_up:{name}"))
    monkeypatch.setitem(sys.modules, "benchmarks.gpu.made_up", module)


def test_a_part_that_fails_is_noted_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(given: Given) -> Facts:
        raise ValueError("no such thing")

    def absent(given: Given) -> Facts:
        raise Unavailable("not installed")

    def hangs(given: Given) -> Facts:
        time.sleep(600)
        return {}

    def dies(given: Given) -> Facts:
        os._exit(7)

    def wrong(given: Given) -> Facts:
        return {"wrong": ["A0 by 2"], "found": [1]}

    _module(monkeypatch, raises=raises, absent=absent, hangs=hangs, dies=dies, wrong=wrong)
    found = {
        name: outcome_of(name, Given("cpu", True, 0.5 if name == "hangs" else 300))
        for name in ("raises", "absent", "hangs", "dies", "wrong")
    }
    reasons = {name: (each["status"], each["reason"]) for name, each in found.items()}
    assert reasons == {
        "raises": ("failed", "ValueError: no such thing"),
        "absent": ("not here", "not installed"),
        "hangs": ("failed", "it took more than 0 s"),
        "dies": ("failed", "its process ended with status 7"),
        "wrong": ("failed", "A0 by 2"),
    }
    page = gpu_page(
        {
            "machine": {"device": "a"},
            "quick": False,
            "parts": {n: {"question": "?", **e} for n, e in found.items()},
        }
    )
    assert all(reason in page for _, reason in reasons.values())


@pytest.mark.parametrize("true", [0, 1, 2, 7, 100, 700])
def test_the_largest_batch_is_found_to_an_eighth(true: int) -> None:
    tried: list[int] = []

    def fit(clips: int) -> bool:
        tried.append(clips)
        return clips <= true

    found = largest(fit, 4096)
    assert found <= true <= max(found, found * 9 / 8 + 1)
    assert len(tried) < 18
    assert largest(lambda clips: True, 5) == 5


def test_only_a_lack_of_memory_is_one() -> None:
    def lacks() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def fails() -> None:
        raise RuntimeError("shapes differ")

    given = Given("cpu", True, 1)
    assert not fits(given, lambda: lacks)
    assert fits(given, lambda: lambda: None)
    with pytest.raises(RuntimeError, match="shapes"):
        fits(given, lambda: fails)


@pytest.mark.parametrize("form", ["forward", "step", "gradients"])
def test_a_device_that_computes_something_else_is_found(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    architecture = published("A0-stream").with_input(ClipShape(3, 32, 5))
    there, here = misses(architecture, form, "cpu")
    assert there == here < limit(here)
    plain, calls = MoViNet._run, []

    def other(self: MoViNet, *given: object, **more: object) -> torch.Tensor:
        logits = plain(self, *given, **more)  # type: ignore[arg-type]
        calls.append(logits.dtype)
        # The device is the first that computes in float32.
        first = logits.dtype == torch.float32 and calls.count(torch.float32) <= (3 if form == "step" else 1)
        return logits * (1 + 1e-3) if first else logits

    monkeypatch.setattr(MoViNet, "_run", other)
    there, here = misses(architecture, form, "cpu")
    assert there > limit(here)


def test_without_a_card_the_script_says_so(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(SystemExit, match="--device cpu --quick"):
        command.main(["--out", str(tmp_path)])
