"""MovingDigits-16: the data set that movinas makes itself, as real H.264 files with a manifest.

Handwritten digits (scikit-learn's, 1,797 real ones) over two photographs (by courtesy of their authors, CC BY
2.0). Each clip comes from its own generator, seeded by (seed, split, class, number), where twins that are
measured on share one: any clip can be made again alone. A file is written whole or not at all and carries the
hash of its frames before encoding, so that a killed writer resumes where it was.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import av.error
import numpy as np

from proxy_train.data import digit_scenes
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.data.digit_scenes import (
    CLASSES,
    FPS,
    FRAMES,
    PLAIN,
    SIZE,
    Motion,
    Pixels,
    Scene,
    Sources,
    Sprite,
    between,
)
from proxy_train.processes import map_in_processes
from proxy_train.video.writing import write_video
from search_space.errors import DataError
from search_space.files import replacing, write_json
from search_space.json_files import read_json, to_json
from search_space.progress import ProgressCallback, ignore_progress

VERSION = 4
SPLITS = ("train", "val", "test")
_DIGITS = {"train": slice(0, 1197), "val": slice(1197, 1497), "test": slice(1497, 1797)}
_CHUNK = 10
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Preset:
    """The number and the content of clips.

    Args:
        train: training clips of each class.
        val: validation clips of each class.
        test: test clips of each class.
        scene: content of a clip; the easiest one if ``hardest`` is given.
        crf: H.264's rate factor; more is coarser.
        hardest: content of the hardest clips; every clip then lies somewhere between the two, evenly spread.
    """

    train: int
    val: int
    test: int
    scene: Scene = PLAIN
    crf: int = 26
    hardest: Scene | None = None

    def draw_scene(self, rng: np.random.Generator) -> Scene:
        """Return the content of a clip; its generator is used only if clips differ in it."""
        return self.scene if self.hardest is None else between(self.scene, self.hardest, float(rng.random()))


_HARD = Scene(
    digit=Sprite((15.0, 20.0), (0.6, 0.9), (0.40, 0.60)),
    motion=Motion(
        travel=(12, 18),
        growth=(1.45, 1.8),
        radius=(6, 9),
        reach=(8, 12),
        swelling=(1.35, 1.7),
        event=(6, 9),
        rest=(5, 10),
        unsteady=0.4,
    ),
    distractors=2,
    distractor=Sprite((11.0, 15.0), (0.55, 0.85), (0.20, 0.80)),
    camera=6.0,
    occluders=1,
    flicker=0.1,
    noise=0.035,
)
_EASIEST = Scene(
    digit=Sprite((22.0, 30.0), (0.85, 1.0), (0.40, 0.60)),
    motion=Motion(travel=(18, 26), growth=(1.8, 2.4), radius=(9, 13), reach=(12, 16), swelling=(1.6, 2.1)),
    noise=0.0,
)
_HARDEST = Scene(
    digit=Sprite((13.0, 17.0), (0.40, 0.70), (0.35, 0.65)),
    motion=Motion(travel=(8, 14), growth=(1.25, 1.6), radius=(4, 8), reach=(5, 9), swelling=(1.2, 1.5)),
    distractors=2,
    distractor=Sprite((11.0, 15.0), (0.55, 0.85), (0.20, 0.80)),
    camera=6.0,
    occluders=1,
    flicker=0.1,
    noise=0.05,
)
PRESETS = {
    "default": Preset(100, 20, 25),
    "tiny": Preset(20, 5, 5),
    "medium": Preset(60, 20, 25, Scene(distractors=1), crf=36),
    "hard": Preset(60, 20, 25, _HARD, crf=38),
    "graded": Preset(80, 40, 40, _EASIEST, crf=30, hardest=_HARDEST),
}


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A clip in the manifest.

    Args:
        file: path below the data set's folder.
        split: name of the split.
        label: index of the class.
        sha256: hash of the frames before encoding.
        bytes: size of the file.
    """

    file: str
    split: str
    label: int
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The clips of the data set; the file tells people more."""

    clips: tuple[ClipEntry, ...]


def load(
    preset: str, cache: Path, *, seed: int = 0, workers: int = 1, progress: ProgressCallback = ignore_progress
) -> Dataset:
    """Return the data set below ``cache``; write first what does not exist yet.

    Raises:
        DataError: the preset does not exist, or the folder cannot be written.
    """
    if preset not in PRESETS:
        raise DataError(f"moving-digits has no preset {preset!r}", hint=f"one of {', '.join(PRESETS)}")
    folder = cache / f"moving-digits-16-v{VERSION}-{preset}-s{seed}"
    try:
        manifest = _complete_manifest(folder) or write(
            folder, PRESETS[preset], seed=seed, workers=workers, progress=progress
        )
    except OSError as error:
        raise DataError(
            f"cannot write {folder}: {error.strerror}", hint="set data.cache to another folder"
        ) from error
    return as_dataset(folder, preset, manifest)


def as_dataset(folder: Path, preset: str, manifest: Manifest) -> Dataset:
    """Return the data set that a manifest lists."""
    items = {
        split: tuple(
            VideoItem(folder / clip.file, None, None, clip.label, clip.file, split)
            for clip in manifest.clips
            if clip.split == split
        )
        for split in SPLITS
    }
    hashes = hashlib.sha256("".join(clip.sha256 for clip in manifest.clips).encode()).hexdigest()
    return Dataset(
        f"moving-digits-{preset}",
        items,
        CLASSES,
        flips_change_labels=True,
        fingerprint=hashes,
        seconds=FRAMES / FPS,
    )


def _complete_manifest(folder: Path) -> Manifest | None:
    """Return the manifest if every file that it lists exists with its size."""
    try:
        manifest = read_json(folder / _MANIFEST, Manifest, error=DataError, hint="")
        whole = all((folder / clip.file).stat().st_size == clip.bytes for clip in manifest.clips)
    except (FileNotFoundError, DataError):
        return None
    return manifest if whole else None


def write(
    folder: Path,
    preset: Preset,
    *,
    seed: int = 0,
    workers: int = 1,
    progress: ProgressCallback = ignore_progress,
) -> Manifest:
    """Write the clips that are not in ``folder`` yet; write and return ``manifest.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_sources(folder, seed)
    tasks = [
        ClipRun(str(folder), preset, seed, split, label, first, min(first + _CHUNK, count))
        for split, count in zip(SPLITS, (preset.train, preset.val, preset.test), strict=True)
        for label in range(len(CLASSES))
        for first in range(0, count, _CHUNK)
    ]
    total = sum(task.stop - task.start for task in tasks)
    clips: list[ClipEntry] = []
    progress(0, total)
    for written in map_in_processes(_write_clips, tasks, workers):
        clips += written
        progress(len(clips), total)
    clips.sort(key=lambda clip: (SPLITS.index(clip.split), clip.label, clip.file))
    manifest = Manifest(tuple(clips))
    facts = {
        "name": "MovingDigits-16",
        "version": VERSION,
        "seed": seed,
        "preset": asdict(preset),
        "clip": {"frames": FRAMES, "width": SIZE, "height": SIZE, "fps": FPS, "codec": "h264"},
        "classes": list(CLASSES),
        "attribution": "photographs: see ATTRIBUTION.txt; digits: UCI, by way of scikit-learn",
    }
    write_json(folder / _MANIFEST, facts | to_json(manifest))
    return manifest


def _write_sources(folder: Path, seed: int) -> None:
    """Write digits and photographs beside the clips: workers then start without the slow scikit-learn."""
    from sklearn.datasets import load_digits, load_sample_images

    digits, photographs = load_digits(), load_sample_images()
    order = np.random.default_rng([seed, len(SPLITS)]).permutation(len(digits.images))
    with replacing(folder / "sources.npz") as temporary:
        np.savez(
            temporary,
            digits=digits.images[order].astype(np.uint8),
            **{f"photograph{index}": image for index, image in enumerate(photographs.images)},
        )
    with replacing(folder / "ATTRIBUTION.txt") as temporary:
        temporary.write_text(photographs.DESCR, encoding="utf-8")


@functools.lru_cache(maxsize=4)
def _sources(folder: str, split: str) -> Sources:
    """Return a split's sources: disjoint digits; left halves of photographs to train, right ones else."""
    with np.load(Path(folder) / "sources.npz", allow_pickle=False) as arrays:
        digits = arrays["digits"][_DIGITS[split]].astype(np.float32) / 16
        photographs = [arrays[name] for name in sorted(arrays.files) if name.startswith("photograph")]
    halves = [
        image[:, : image.shape[1] // 2] if split == "train" else image[:, image.shape[1] // 2 :]
        for image in photographs
    ]
    return Sources(digits, tuple(half.astype(np.float32) / 255 for half in halves))


@dataclass(frozen=True, slots=True)
class ClipRun:
    """Consecutive clips of one class and split, which one worker writes.

    Args:
        folder: folder of the data set.
        preset: preset of the data set.
        seed: seed of the data set.
        split: name of the split.
        label: index of the class.
        start: number of the first clip.
        stop: number after the last clip.
    """

    folder: str
    preset: Preset
    seed: int
    split: str
    label: int
    start: int
    stop: int


def _write_clips(run: ClipRun) -> list[ClipEntry]:
    folder = Path(run.folder)
    clips = []
    for number in range(run.start, run.stop):
        name = f"{run.split}/{CLASSES[run.label]}/{number:04d}.mp4"
        path = folder / name
        digest = _hash_of(path)
        if digest is None:
            frames = clip_frames(run, number)
            digest = hashlib.sha256(frames.tobytes()).hexdigest()
            # Thousands of files that can be made again: the manifest's sizes find one that a power cut left
            # empty.
            with replacing(path, durable=False) as temporary:
                write_video(temporary, frames, crf=run.preset.crf, fps=FPS, comment=digest)
        clips.append(ClipEntry(name, run.split, run.label, digest, path.stat().st_size))
    return clips


def clip_frames(run: ClipRun, number: int) -> Pixels:
    """Return the frames of one clip before encoding, from its own generator.

    Clips to measure on come in pairs: a clip and its twin of the same number share their generator, and show
    the same frames as far as the scene allows it. A network that is blind to order can tell them apart only
    by the traces of compression.
    """
    paired = run.split != "train" and run.label % 2 == 1
    seeded_by = run.label - paired
    rng = np.random.default_rng([run.seed, SPLITS.index(run.split), seeded_by, number])
    make = digit_scenes.render_twin if paired else digit_scenes.render
    return make(run.label, _sources(run.folder, run.split), rng, run.preset.draw_scene(rng))


def _hash_of(path: Path) -> str | None:
    """Return the hash that an earlier run left in the file; None if there is none."""
    if not path.exists():
        return None
    try:
        with av.open(path) as container:
            return container.metadata.get("comment")
    except av.error.FFmpegError:
        return None
