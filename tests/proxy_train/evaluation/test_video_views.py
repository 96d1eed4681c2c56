"""Views cut from frames that are decoded once are those of prepared data, and their scores are the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from proxy_train.clips.views import Views
from proxy_train.data.dataset import Dataset, VideoItem
from proxy_train.evaluation.evaluation import predict
from proxy_train.evaluation.scoring import Logits, score_videos
from proxy_train.evaluation.video_views import ViewReader
from proxy_train.store.decoding import Clips
from proxy_train.store.prepared_data import PreparedData, prepare
from proxy_train.video.writing import write_video
from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.errors import DataError, SettingsError
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build

CLIP = ClipShape(4, 16, 8)
VIEWS = [Views(), Views(3), Views(5, 3), Views(1, 3), Views(whole=True)]
SHAPES = ((20, 48), (48, 20), (32, 32), (18, 18))


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Videos of noise, wide, tall and square, of 2 to 20 frames."""
    root, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    items = []
    for number, frames in enumerate((2, 4, 5, 9, 20, 13)):
        height, width = SHAPES[number % len(SHAPES)]
        path = root / f"{number}.mp4"
        write_video(path, rng.integers(0, 256, (frames, height, width, 3), np.uint8), crf=20, fps=8)
        items.append(VideoItem(path, None, None, number % 3, path.name, "val"))
    splits = {"train": tuple(replace(item, split="train") for item in items), "val": tuple(items)}
    return Dataset("noise", splits, ("a", "b", "c"), False, margin=0.125)


@pytest.fixture(scope="module")
def prepared(noise: Dataset, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    return prepare(
        noise, frames=CLIP.frames, size=CLIP.size, fps=CLIP.fps, cache=tmp_path_factory.mktemp("noise-cache")
    )


@pytest.fixture(scope="module")
def network() -> MoViNet:
    model = build(Architecture.parse("stream_4x16x8_s8_w16s2-33e32-a_h32x32"), 3, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model.eval()


class InTorch:
    """A network that counts the clips that it sees."""

    def __init__(self, model: MoViNet, batch: int) -> None:
        self.model, self.batch, self.clips = model, batch, 0

    def logits(self, clips: Clips) -> Logits:
        self.clips += len(clips)
        assert len(clips) <= self.batch
        with torch.inference_mode():
            pixels = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float() / 255
            return np.asarray(self.model(pixels).numpy(), np.float32)


@pytest.mark.parametrize("views", VIEWS, ids=str)
def test_views_are_those_of_prepared_data(views: Views, noise: Dataset, prepared: PreparedData) -> None:
    reader, part = ViewReader.of(noise, CLIP, views), prepared.split("val")
    for index, item in enumerate(noise.items["val"]):
        found = reader.read(item)
        expected = views.batch(part, np.array([index]), CLIP.frames, CLIP.size)
        clips = np.empty((len(found.cuts), found.length, CLIP.size, CLIP.size, 3), np.uint8)
        for number, clip in enumerate(clips):
            found.write(number, clip)
        assert sum(found.weights) == views.count == len(expected)
        pixels = torch.from_numpy(clips).float().permute(0, 4, 1, 2, 3) / 255
        places = [next(n for n, clip in enumerate(pixels) if torch.equal(clip, one)) for one in expected]
        assert [places.count(number) for number in range(len(clips))] == list(found.weights)


@pytest.mark.parametrize("views", VIEWS, ids=str)
@pytest.mark.parametrize("batch", [1, 7])
def test_scores_are_those_of_predict(
    views: Views, batch: int, noise: Dataset, prepared: PreparedData, network: MoViNet
) -> None:
    expected = predict(network, prepared, "val", views=views)
    classifier, head = InTorch(network, batch), Head.single_label(3)
    reader = ViewReader.of(noise, CLIP, views)
    found = list(score_videos(noise.items["val"], reader, classifier, head, threads=2))
    assert [scored.id for scored in found] == list(expected.ids)
    logits = torch.from_numpy(np.stack([scored.logits for scored in found if scored.logits is not None]))
    assert torch.allclose(
        head.probabilities(logits)[0].double(), torch.from_numpy(expected.probabilities[0]), atol=1e-5
    )
    assert np.ptp(logits.numpy(), axis=0).max() > 1e-3, "the videos differ"


def test_equal_views_are_computed_once(noise: Dataset, network: MoViNet) -> None:
    short = noise.items["val"][:2]  # of 2 and 4 frames, for clips of 4
    classifier = InTorch(network, 8)
    reader = ViewReader.of(noise, CLIP, Views(10, 3))
    list(score_videos(short, reader, classifier, Head.single_label(3), threads=1))
    assert classifier.clips == 2 * 3, "three crops each, and not ten clips of them"


def test_unreadable_videos_have_a_fault_in_their_place(
    noise: Dataset, network: MoViNet, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    one, two = noise.items["val"][:2]
    items = [one, replace(two, path=broken, id="broken"), two]
    reader = ViewReader.of(noise, CLIP, Views(2))
    found = list(score_videos(items, reader, InTorch(network, 4), Head.single_label(3), threads=2))
    assert [scored.id for scored in found] == [one.id, "broken", two.id]
    assert found[1].logits is None and "broken.mp4" in found[1].fault
    assert found[0].logits is not None and found[2].logits is not None and found[2].fault == ""


def test_videos_are_read_a_few_ahead_only(noise: Dataset, network: MoViNet) -> None:
    asked: list[int] = []

    def many() -> Iterator[VideoItem]:
        for number in range(100):
            asked.append(number)
            yield noise.items["val"][number % 6]

    reader = ViewReader.of(noise, CLIP, Views())
    scores = score_videos(many(), reader, InTorch(network, 1), Head.single_label(3), threads=2)
    for _ in range(3):
        next(scores)
    assert len(asked) <= 3 + 4
    scores.close()  # type: ignore[attr-defined]


def test_a_network_of_other_outputs_and_frames_below_a_clip_are_refused(
    noise: Dataset, network: MoViNet
) -> None:
    reader = ViewReader.of(noise, CLIP, Views())
    with pytest.raises(DataError, match="3 outputs, and 5 are expected"):
        list(score_videos(noise.items["val"], reader, InTorch(network, 1), Head.single_label(5), threads=1))
    with pytest.raises(SettingsError, match="12 pixels for clips of 16"):
        ViewReader.of(noise, CLIP, Views(), side=12)
