"""Each data set format: found by its annotations, read right, and nothing left out without a word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from proxy_train.data.check import check_dataset
from proxy_train.data.formats.registry import FORMATS, detect
from proxy_train.data.formats.request import Request
from proxy_train.data.labels import VerbNoun
from proxy_train.data.settings import Kind
from proxy_train.store.prepared_data import prepare
from search_space.errors import DataError
from tests.proxy_train.data.written_formats import (
    labels,
    load,
    write_charades,
    write_epic,
    write_folder,
    write_hmdb,
    write_kinetics,
    write_list,
    write_moments,
    write_something,
    write_ucf,
)
from tests.proxy_train.video_files import write_images, write_text, write_videos


def test_kinetics(tmp_path: Path) -> None:
    write_kinetics(tmp_path)
    # The clip that is in both lists is used to validate: not a second time to train.
    dataset = load(tmp_path)
    assert dataset.classes == ("massaging person's head", "petting animal (not cat)", "yoga")
    assert labels(dataset, "train") == {"bbbbbbbbbbb_000012_000022": 0}
    assert labels(dataset, "val") == {"ccccccccccc_000100_000110": 2, "-abcdefghij_000003_000013": 2}
    assert [item.id for item in dataset.unlabelled] == ["ddddddddddd_000000_000010"]
    assert dataset.missing[0][0] == "train:gone-missing_000000_000010"
    assert dict(dataset.dropped) == {
        "train:-abcdefghij_000003_000013": "listed before: val, yoga",
        str(tmp_path / "unheard_000000_000010.mp4"): "in no annotation",
    }


def test_kinetics_copies_under_several_labels_are_told_apart(tmp_path: Path) -> None:
    head = "label,youtube_id,time_start,time_end,split,is_cc\n"
    write_text(tmp_path, kinetics__csv=head + "air drumming,aaaaaaaaaaa,0,10,train,0\n")
    name = "aaaaaaaaaaa_000000_000010.mp4"
    write_videos(tmp_path, f"a_other/{name}", f"air_drumming/{name}", f"z_other/{name}")
    (item,) = load(tmp_path, trainable=False).items["train"] or load(tmp_path, trainable=False).items["val"]
    assert item.path == tmp_path / "air_drumming" / name


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
def test_something_something(tmp_path: Path, prefix: str) -> None:
    write_something(tmp_path, prefix)
    dataset = load(tmp_path)
    assert dataset.classes == ("Holding something", "Pushing something from left to right")
    assert labels(dataset, "train") == {"1": 1, "2": 0}
    assert labels(dataset, "val") == {"5": 1}
    assert dataset.flips_change_labels, "left to right would become right to left"
    assert [item.id for item in dataset.unlabelled] == ["6"]
    assert dataset.missing == (("train:4", "no such video"),)
    assert dataset.dropped == (("train:3", "labels.json has no template 'Eating [something]'"),)


def test_epic_kitchens(tmp_path: Path) -> None:
    write_epic(tmp_path)
    dataset = load(tmp_path)
    assert dataset.labels_kind == "verb_noun" and dataset.class_counts == (97, 300)
    (train,), (val,) = dataset.items["train"], dataset.items["val"]
    assert (train.label, train.start, train.end) == (VerbNoun(96, 299), 0.5, 1.0)
    assert (dataset.classes[96], dataset.classes[97 + 299]) == ("wash", "pan")
    assert val.frames is not None and (val.frames.offset, val.frames.fps) == (1, 6.5)
    assert [item.id for item in dataset.unlabelled] == ["P01_01_9"]
    assert dataset.missing == (("train:P01_09_0", "no video P01_09"),)
    assert dataset.dropped == (("train:P01_01_1", "it ends at 0.5 s, before its start at 1 s"),)
    data = prepare(dataset, frames=2, size=16, fps=4, cache=tmp_path / "cache")
    assert data.split("train").labels.tolist() == [[96, 299]]
    # Frames 7 and on, those of 1.0 s and on at 6.5 a second.
    assert round(float(data.split("val").clips[0, 0].mean()) / 10) == 7


def test_epic_frames_count_from_one_even_if_the_first_are_missing(tmp_path: Path) -> None:
    write_epic(tmp_path)
    for number in range(1, 5):
        (tmp_path / "P01/rgb_frames/P01_02" / f"frame_{number:010d}.jpg").unlink()
    (val,) = load(tmp_path).items["val"]
    assert val.frames is not None and (val.frames.offset, val.frames.count) == (1, 13)


@pytest.mark.parametrize("flow", ["flow_frames", "a_depth", "masks"])
def test_epic_pictures_come_before_flow_of_the_same_name(tmp_path: Path, flow: str) -> None:
    write_epic(tmp_path)
    write_images(tmp_path / "P01" / flow / "P01_02", "frame_%010d.jpg", range(1, 14))
    dataset = load(tmp_path)
    assert [item.path for item in dataset.items["val"]] == [tmp_path / "P01/rgb_frames/P01_02"]
    reason = f"another video of this name is used: {tmp_path / 'P01/rgb_frames/P01_02'}"
    assert (str(tmp_path / "P01" / flow / "P01_02"), reason) in dataset.dropped


def test_charades(tmp_path: Path) -> None:
    write_charades(tmp_path)
    dataset = load(tmp_path, annotations=str(tmp_path / "Charades"))
    assert dataset.labels_kind == "multi" and dataset.class_counts == 157
    assert dataset.classes[0] == "Holding some clothes" and dataset.classes[1] == "c001"
    assert labels(dataset, "train") | labels(dataset, "val") == {
        "AAAAA": (92, 147),
        "BBBBB": (),
        "CCCCC": (0,),
    }
    assert dataset.items["val"], "a share of train, where no list says"
    assert labels(dataset, "test") == {"DDDDD": (3,)}
    assert dataset.missing[0][0] == "train:EEEEE"
    assert dataset.dropped == (("AAAAA: c001 40.00 50.00", "nothing of it lies within the video's 1 s"),)
    data = prepare(dataset, frames=2, size=16, fps=4, cache=tmp_path / "cache")
    assert data.split("test").labels.shape == (1, 157) and data.split("test").labels[0].nonzero()[0] == [3]


def test_charades_segments_end_with_the_video(tmp_path: Path) -> None:
    write_charades(tmp_path)
    dataset = load(tmp_path, segments=True)
    items = {item.id: item for split in ("train", "val") for item in dataset.items[split]}
    first, second = items["AAAAA:0"], items["AAAAA:1"]
    assert (first.start, first.end, first.label) == (0.5, 1.0, (92, 147))
    assert (second.start, second.end, second.label) == (0.0, 0.6, (92, 147))
    assert first.split == second.split, "stretches of one video never fall into different splits"
    assert dataset.items["test"][0].start is None


def test_moments_in_time(tmp_path: Path) -> None:
    write_moments(tmp_path)
    dataset = load(tmp_path)
    assert dataset.classes == ("walking", "adult+female+singing")
    assert labels(dataset, "train") == {
        "train/walking/a, b.mp4": 0,
        "train/adult+female+singing/c.mp4": 1,
    }
    (val,) = dataset.items["val"]
    assert val.path == tmp_path / "validation/walking/c.mp4"
    assert dataset.missing == (("train/walking/gone.mp4", "no such video"),)
    assert dataset.dropped == (("train/walking/c.mp4", "moments_categories.txt has no 'flying'"),)


def test_ucf101(tmp_path: Path) -> None:
    write_ucf(tmp_path)
    dataset = load(tmp_path)
    assert dataset.classes == ("Archery", "Golf Swing")
    assert labels(dataset, "test") == {"Golf Swing/v_GolfSwing_g07_c01.avi": 1}
    parts = [{name.rpartition("_c")[0] for name in labels(dataset, split)} for split in ("train", "val")]
    assert len(parts[0]) + len(parts[1]) == 12 and parts[1]
    assert not parts[0] & parts[1], "clips of one recording stay together"
    assert dataset.missing == (("Archery/v_Archery_g30_c01.avi", "no such video"),)
    assert [name for name, _ in dataset.dropped] == [
        "Archery/v_Archery_g09_c01.avi",
        f"{tmp_path}/ucfTrainTestlist/trainlist02.txt",
    ]
    assert "says class 2, classInd.txt 1" in dataset.dropped[0][1]


def test_ucf101_has_three_splits(tmp_path: Path) -> None:
    write_ucf(tmp_path)
    second = load(tmp_path, split=2, trainable=False)
    assert {name for split in second.items for name in labels(second, split)} == {
        "Archery/v_Archery_g01_c01.avi"
    }
    with pytest.raises(DataError, match=r"no trainlist03\.txt"):
        load(tmp_path, kind="ucf101", split=3)


def test_hmdb51(tmp_path: Path) -> None:
    write_hmdb(tmp_path)
    dataset = load(tmp_path)
    assert dataset.classes == ("brush_hair", "run")
    assert labels(dataset, "test") == {"brush_hair/a_brush_hair_0.avi": 0}
    films = [
        {name.partition("_run_")[0] for name, label in labels(dataset, split).items() if label == 1}
        for split in ("train", "val")
    ]
    assert len(films[0]) + len(films[1]) == 9 and films[1] and not films[0] & films[1]
    assert dataset.missing == (("brush_hair/gone.avi", "no such video"),)
    assert dataset.dropped == (
        ("run/x_run_0.avi", "split 1 does not use it"),
        (f"{tmp_path}/splits/run_test_split2.txt", "not a video: suffix .txt"),
    )


def test_list_of_several_labels(tmp_path: Path) -> None:
    write_list(tmp_path)
    dataset = load(tmp_path)
    assert dataset.labels_kind == "multi" and len(dataset.classes) == 3
    found = [(item.path.name, item.label) for item in dataset.items["train"]]
    assert found == [("a 7.mp4", (0, 2)), ("b,c.mp4", (1,)), ("frames 12", (1, 2))]
    assert dataset.items["val"][0].label == (2,)
    frames = dataset.items["train"][2].frames
    assert frames is not None and (frames.template, frames.offset, frames.count) == ("img_%d.png", 3, 9)


def test_folder_of_videos_and_of_frames(tmp_path: Path) -> None:
    write_folder(tmp_path)
    dataset = load(tmp_path, frame_rate=5)
    (frames,) = (item for item in dataset.items["train"] if item.frames)
    assert (frames.id, frames.label) == ("train/a/deep/clip 3", 0)
    assert frames.frames is not None and (frames.frames.count, frames.frames.fps) == (5, 5)
    assert dict(dataset.dropped) == {
        str(tmp_path / "train/b/loose_0.jpg"): "an image outside a folder of a video's frames"
    }


WRITERS: dict[str, Callable[[Path], None]] = {
    "folder": write_folder,
    "list": write_list,
    "kinetics": write_kinetics,
    "something-something": write_something,
    "epic-kitchens": write_epic,
    "charades": write_charades,
    "moments-in-time": write_moments,
    "ucf101": write_ucf,
    "hmdb51": write_hmdb,
}


def test_every_format_is_here_and_can_be_named() -> None:
    assert set(WRITERS) == set(FORMATS) == set(get_args(Kind)) - {"moving-digits", "auto"}


@pytest.mark.parametrize("kind", WRITERS)
def test_found_by_its_files_decoded_and_prepared(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    WRITERS[kind](root)
    assert detect(Request(root)) == kind
    dataset = load(root)
    found = check_dataset(dataset)
    assert found.broken == ()
    assert found.videos == sum(map(len, dataset.items.values()))
    assert found.unlabelled == len(dataset.unlabelled)
    assert json.loads(json.dumps(found.json()))["labels"] == dataset.labels_kind
    data = prepare(dataset, frames=2, size=16, fps=4, cache=tmp_path / "cache")
    for split, items in dataset.items.items():
        if items:
            assert data.split(split).ids == tuple(item.id for item in items)
    assert data.class_counts == dataset.class_counts
    dataset.write_report(tmp_path / "run")
    left_out = json.loads((tmp_path / "run" / "left_out.json").read_text())
    assert len(left_out["missing"]) == len(dataset.missing)
    assert len(left_out["left out while listing"]) == len(dataset.dropped)
    assert json.loads((tmp_path / "run" / "classes.json").read_text())["labels"] == dataset.labels_kind


def test_ucf101_in_another_case(tmp_path: Path) -> None:
    write_text(
        tmp_path,
        classInd__txt="1 HandstandPushups\n2 Archery\n",
        trainlist01__txt="HandStandPushups/v_HandStandPushups_g01_c01.avi 1\n"
        "archery/v_archery_g01_c01.avi 2\n",
        testlist01__txt="HandstandPushups/v_HandstandPushups_g02_c01.avi\n",
    )
    write_videos(tmp_path, *(f"HandstandPushups/v_HandstandPushups_g0{at}_c01.avi" for at in (1, 2)))
    write_videos(tmp_path, "Archery/v_Archery_g01_c01.AVI")
    dataset = load(tmp_path, trainable=False)
    found = {item.path.name: item.label for items in dataset.items.values() for item in items}
    assert found == {
        "v_HandstandPushups_g01_c01.avi": 0,
        "v_HandstandPushups_g02_c01.avi": 0,
        "v_Archery_g01_c01.AVI": 1,
    }
    assert not dataset.missing and not dataset.dropped
    assert any(note.startswith("names matched ignoring case: 2, such as") for note in dataset.notes)


IN_CAPITALS = [kind for kind in WRITERS if kind != "folder"]


@pytest.mark.parametrize("kind", IN_CAPITALS)
def test_files_in_another_case_are_found_by_every_annotation_format(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "videos"
    root.mkdir()
    WRITERS[kind](root)
    before = load(root, kind, trainable=False)
    for path in sorted(root.rglob("*"), reverse=True):
        if path.suffix.lower() in {".mp4", ".avi", ".webm"}:
            path.rename(path.with_name(path.name.swapcase()))
    after = load(root, kind, trainable=False)
    assert {split: labels(after, split) for split in after.items} == {
        split: labels(before, split) for split in before.items
    }
    assert [entry.name for entry in after.missing] == [entry.name for entry in before.missing]
    assert all(item.path.exists() for items in after.items.values() for item in items)


def test_two_files_that_differ_in_case_alone_are_not_guessed(tmp_path: Path) -> None:
    write_text(tmp_path, Charades_v1_train__csv="id,actions,length\nABC,c001 0 1,1\n")
    write_videos(tmp_path, "abc.mp4", "Abc.mp4")
    dataset = load(tmp_path, "charades", trainable=False)
    assert [name for name, _ in dataset.missing] == ["train:ABC"]
    assert {name for name, _ in dataset.dropped} == {str(tmp_path / "abc.mp4"), str(tmp_path / "Abc.mp4")}


def test_files_of_one_name_are_told_apart_and_the_others_named(tmp_path: Path) -> None:
    write_text(tmp_path, Charades_v1_train__csv="id,actions,length\nABC,c001 0 1,1\n")
    write_videos(tmp_path, "ABC.mp4", "copy/ABC.mp4", "copy/ABC.avi")
    dataset = load(tmp_path, "charades", trainable=False)
    assert dict(dataset.dropped) == {
        str(tmp_path / f"copy/ABC.{suffix}"): f"another video of this name is used: {tmp_path / 'ABC.mp4'}"
        for suffix in ("avi", "mp4")
    }


@pytest.mark.parametrize("older", [False, True])
def test_later_lists_of_epic_nouns_have_names_of_other_tasks(tmp_path: Path, older: bool) -> None:
    write_epic(tmp_path)
    write_text(
        tmp_path, EPIC_100_noun_classes_v2__csv="id,key\n" + "".join(f"{at},noun {at}\n" for at in range(305))
    )
    if older:
        write_text(tmp_path, EPIC_100_noun_classes__csv="id,key\n0,tap\n")
    dataset = load(tmp_path)
    assert len(dataset.classes) == 97 + 300
    assert dataset.classes[97] == ("tap" if older else "noun 0")
    assert dataset.classes[97 + 299] == ("pan" if older else "noun 299")
