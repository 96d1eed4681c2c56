"""Training: it never waits for the device; clips a second beside a plain formulation; the largest batch."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.given import Facts, Given, rounds, spread
from proxy_train.clips.targets import BatchLabels
from proxy_train.distributed import Group
from proxy_train.recipe import Recipe, preset_names
from proxy_train.training.optimizers import make_optimizer
from proxy_train.training.out_of_memory import is_out_of_memory
from proxy_train.training.updates import Updater
from proxy_train.training.weight_average import WeightAverage
from search_space.architecture.architecture import Architecture
from search_space.network.model import build

CLASSES = 600
RECIPE: dict[str, Any] = {"optimizer": "rmsprop", "clip_norm": 1.0, "precision": "bfloat16"}
Step = Callable[[], object]


def networks(given: Given) -> tuple[str, ...]:
    """Return the names of the networks that are trained."""
    return ("A0-base",) if given.quick else ("A0-base", "A2-base")


def batch(given: Given, architecture: Architecture, clips: int) -> tuple[Tensor, Tensor]:
    """Return random clips and labels on the device."""
    clip = architecture.input
    shape = (clips, 3, clip.frames, clip.size, clip.size)
    # As batches lie in memory: channels innermost.
    made = torch.rand((clips, clip.frames, clip.size, clip.size, 3), device=given.device)
    moved = made.permute(0, 4, 1, 2, 3)
    assert tuple(moved.shape) == shape
    return moved, torch.zeros(clips, dtype=torch.long, device=given.device)


def our_step(given: Given, architecture: Architecture, clips: int, recipe: Recipe) -> Step:
    """Return a function that makes one update as trainings do."""
    model = build(architecture, CLASSES, seed=0, dropout=recipe.dropout).to(given.device).train()
    updater = Updater(model, make_optimizer(model, recipe), recipe, given.device, Group())
    average = WeightAverage(model, recipe.ema) if recipe.ema else None
    images, own = batch(given, architecture, clips)
    labels = BatchLabels(own)

    def step() -> None:
        updater.update(images, labels, 0.001, clips)
        if average is not None:
            average.follow(model, 10)

    return step


def plain_step(given: Given, architecture: Architecture, clips: int) -> Step:
    """Return a function that makes one update of the same network in PyTorch's own layers.

    It is what one writes first: Conv3d and BatchNorm3d, autocast, torch's RMSprop, the norm of all gradients
    clipped; and it does not read its loss.
    """
    model = build(architecture, CLASSES, seed=0, plain=True).to(given.device).train()
    optimizer = torch.optim.RMSprop(model.parameters(), 0.001, momentum=0.9)
    images, labels = batch(given, architecture, clips)
    images = images.contiguous()
    kind = torch.device(given.device).type

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(kind, torch.bfloat16):
            loss = F.cross_entropy(model(images), labels, label_smoothing=0.1)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def tuned(step: Step) -> Step:
    """Return a step for which cuDNN tries its algorithms and keeps the fastest."""

    def faster() -> None:
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
        try:
            step()
        finally:
            torch.backends.cudnn.benchmark = before

    return faster


def fits(given: Given, make: Callable[[], Step]) -> bool:
    """Return whether two updates fit into the device's memory."""
    try:
        step = make()
        step()
        step()
        given.wait()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        step = None  # type: ignore[assignment]
        gc.collect()
        given.free()
    return True


def largest(fit: Callable[[int], bool], most: int, end: float = float("inf")) -> int:
    """Return the largest number up to ``most`` that fits, to an eighth; 0 if not even one does.

    Args:
        fit: function that says whether a number fits; what fits, fits with fewer.
        most: largest number to try.
        end: time of ``time.perf_counter`` after which what was found is enough.
    """
    good, bad = 0, most + 1
    while good < most and bad - good > max(1, good // 8) and time.perf_counter() < end:
        tried = min(max(1, 2 * good), most) if bad > most else (good + bad) // 2
        if fit(tried):
            good = tried
        else:
            bad = tried
    return good


def run_training(given: Given) -> Facts:
    """Return clips a second and peak memory of ours and of the plain formulation, network by network."""
    found: Facts = {}
    recipe = Recipe.model_validate(RECIPE)
    share = 0.6 * given.seconds / len(networks(given))
    for name in networks(given):
        architecture = given.architecture(name)
        clips = 2 if given.quick else 16
        makers: dict[str, Callable[[], Step]] = {
            "ours": lambda a=architecture, n=clips: our_step(given, a, n, recipe),  # type: ignore[misc]
            "plain": lambda a=architecture, n=clips: plain_step(given, a, n),  # type: ignore[misc]
        }
        while clips > 1 and not all(fits(given, make) for make in makers.values()):
            clips //= 2
            makers = {
                "ours": lambda a=architecture, n=clips: our_step(given, a, n, recipe),  # type: ignore[misc]
                "plain": lambda a=architecture, n=clips: plain_step(given, a, n),  # type: ignore[misc]
            }
        facts: Facts = {"clip": str(architecture.input), "batch": clips, "precision": "bfloat16"}
        for kind, make in makers.items():
            given.free()
            step = make()
            step()
            step()
            given.wait()
            facts[f"{kind} peak GB"] = given.peak()
            del step
        steps = {kind: make() for kind, make in makers.items()}
        # What cuDNN would find by trying: for the plain one, which must not look bad for want of it.
        ours, plain = steps["ours"], steps["plain"]
        steps = {"ours": ours, "ours, tuned": tuned(ours), "plain, tuned": tuned(plain)}
        for step in (*steps.values(), *steps.values()):
            step()
        times = rounds(given, steps, 0 if given.quick else share, inner=1 if given.quick else 4)
        for kind, seconds in times.items():
            facts[f"{kind} clips/s"] = spread([clips / each for each in seconds])
        # Of the same round, so that a busy machine changes neither.
        ratios = [one / two for one, two in zip(times["plain, tuned"], times["ours"], strict=True)]
        facts["times as fast as plain"] = spread(ratios)
        found[name] = facts
        del steps, times, ours, plain
        gc.collect()
        given.free()
    return found


def run_batch(given: Given) -> Facts:
    """Return the largest batch of each network that fits, found by trying."""
    found: Facts = {}
    recipe = Recipe.model_validate(RECIPE)
    for name in networks(given):
        architecture = given.architecture(name)
        end = time.perf_counter() + given.seconds * 0.8 / len(networks(given))
        most = 3 if given.quick else 4096

        def fit(clips: int, architecture: Architecture = architecture) -> bool:
            return fits(given, lambda: our_step(given, architecture, clips, recipe))

        batch_size = largest(fit, most, end)
        found[name] = {"clip": str(architecture.input), "largest batch": batch_size, "tried up to": most}
    return found


def run_waits(given: Given) -> Facts:
    """Return for each recipe whether an update waits for the device; CUDA itself says so.

    On a CPU nothing can be said: ``tests/proxy_train/training/test_no_waits.py`` does that.
    """
    architecture = given.architecture("A0-stream")
    presets = preset_names()[:2] if given.quick else preset_names()
    cases = {name: Recipe.from_yaml(name).model_copy(update={"ema": 0.9}) for name in presets}
    for optimizer in ("muon", "adamw", "rmsprop", "sgd"):
        for precision in ("float32",) if given.quick else ("float32", "bfloat16"):
            fields = {"optimizer": optimizer, "precision": precision, "clip_norm": 1.0, "stream_frames": 10}
            cases[f"{optimizer} {precision}"] = Recipe.model_validate(fields)
    waits: dict[str, str] = {}
    for name, recipe in cases.items():
        step = our_step(given, architecture, 2, recipe)
        step()
        given.wait()
        try:
            if given.on_cuda:
                torch.cuda.set_sync_debug_mode("error")
            step()
        except RuntimeError as error:
            waits[name] = str(error).splitlines()[0]
        finally:
            if given.on_cuda:
                torch.cuda.set_sync_debug_mode("default")
    return {"updates": list(cases), "wrong": [f"{name}: {why}" for name, why in waits.items()]}
