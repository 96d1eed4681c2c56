"""Everything that is claimed of CUDA, on one card, within ten minutes: one JSON file and one page.

    python -m benchmarks.gpu [--device cuda] [--out build/gpu] [--parts equality training ...]
    python -m benchmarks.gpu --device cpu --quick

Each part runs in a process of its own with a time of its own; one that fails, hangs or cannot run here is
noted with the reason, and the others go on. ``--device cpu --quick`` tries the script itself, on small clips:
its figures say nothing. The exit status is 1 if a part failed or found something wrong.
"""

from __future__ import annotations

import argparse
import importlib
import json
import multiprocessing
import platform
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.given import Facts, Given, Unavailable
from benchmarks.gpu.page import gpu_page

LAST_WORDS = 2000


@dataclass(frozen=True)
class Part:
    """A part: what it asks, its seconds on a card, and the module and function that do it."""

    question: str
    seconds: float
    function: str


PARTS: dict[str, Part] = {
    "equality": Part("Does the card compute what the CPU computes, in float32?", 45, "equality:run"),
    "waits": Part("Does a training step wait for the card?", 30, "throughput:run_waits"),
    "training": Part("How fast is bfloat16 training beside plain layers?", 90, "throughput:run_training"),
    "batch": Part("Which batch fits?", 40, "throughput:run_batch"),
    "decoding": Part("How many CPU cores does the card want?", 30, "decoding:run"),
    "exports": Part("Do exports run on ONNX Runtime's CUDA provider?", 35, "exports:run"),
    "fractions": Part("Do several trainings share the card?", 80, "searches:run_fractions"),
    "search": Part("What does a search of three minutes find?", 205, "searches:run_search"),
}
QUICK_SECONDS = 300.0
"""Seconds of a part with ``--quick``: only what hangs takes them."""


def work(name: str, given: Given, pipe: Connection) -> None:
    """Run a part, in a process of its own, and send what came of it."""
    try:
        module, _, function = PARTS[name].function.partition(":")
        run = getattr(importlib.import_module(f"benchmarks.gpu.{module}"), function)
        pipe.send({"status": "done", "facts": run(given)})
    except Unavailable as fact:
        pipe.send({"status": "not here", "reason": str(fact)})
    except Exception as error:
        # Whatever goes wrong in one part, the others are to be run.
        told = traceback.format_exc()[-LAST_WORDS:]
        reason = f"{type(error).__name__}: {error}"[:LAST_WORDS]
        pipe.send({"status": "failed", "reason": reason, "trace": told})


def outcome_of(name: str, given: Given) -> Facts:
    """Return what came of a part: status, seconds, and its facts or the reason why there are none."""
    # A process that has used a GPU cannot be copied.
    context: Any = multiprocessing.get_context("spawn" if given.on_cuda else "fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(name, given, theirs))
    began = time.perf_counter()
    process.start()
    theirs.close()
    try:
        if ours.poll(given.seconds):
            outcome: Facts = ours.recv()
        else:
            outcome = {"status": "failed", "reason": f"it took more than {given.seconds:.0f} s"}
            process.terminate()
    except EOFError:
        process.join()
        outcome = {"status": "failed", "reason": f"its process ended with status {process.exitcode}"}
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()
    wrong = outcome.get("facts", {}).get("wrong")
    if wrong:
        outcome |= {"status": "failed", "reason": "; ".join(wrong)[:LAST_WORDS]}
    return outcome | {"seconds": round(time.perf_counter() - began, 1)}


def machine(device: str) -> Mapping[str, Any]:
    """Return what was measured on."""
    facts = {"torch": torch.__version__, "python": platform.python_version(), "system": platform.platform()}
    if torch.device(device).type != "cuda":
        return facts | {"device": "CPU"}
    properties = torch.cuda.get_device_properties(torch.device(device))
    return facts | {
        "device": properties.name,
        "GB": round(properties.total_memory / 1e9, 1),
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
    }


def main(words: list[str] | None = None) -> None:
    """Run the parts, write ``gpu.json`` and ``gpu.html``, and say what came of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="small clips and few repeats")
    parser.add_argument("--parts", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("build/gpu"))
    options = parser.parse_args(words)
    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no CUDA device here: --device cpu --quick tries the script")
    options.out.mkdir(parents=True, exist_ok=True)
    found: Facts = {"machine": machine(options.device), "quick": options.quick, "parts": {}}
    given = Given(options.device, options.quick, QUICK_SECONDS)
    for name in options.parts:
        part = PARTS[name]
        facts = {each: outcome.get("facts", {}) for each, outcome in found["parts"].items()}
        seconds = QUICK_SECONDS if options.quick else part.seconds
        outcome = outcome_of(name, replace(given, seconds=seconds, before=facts))
        found["parts"][name] = {"question": part.question, **outcome}
        print(f"{name}: {outcome['status']}, {outcome['seconds']} s {outcome.get('reason', '')}", flush=True)
        # After each: what ends this early leaves what there is.
        (options.out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n")
        (options.out / "gpu.html").write_text(gpu_page(found), encoding="utf-8")
    failed = [name for name, outcome in found["parts"].items() if outcome["status"] == "failed"]
    print(f"{options.out / 'gpu.html'}: {len(found['parts']) - len(failed)} parts well, {len(failed)} failed")
    raise SystemExit(1 if failed else 0)
