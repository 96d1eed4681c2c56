"""A small data set of every format, written as its annotators would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from proxy_train.data.dataset import Dataset
from proxy_train.data.settings import DataSettings, load_dataset
from tests.proxy_train.video_files import write_images, write_text, write_videos


def load(root: Path, kind: str = "auto", *, trainable: bool = True, **given: Any) -> Dataset:
    settings = DataSettings.model_validate({"kind": kind, "root": str(root), **given})
    return load_dataset(settings, trainable=trainable)


def labels(dataset: Dataset, split: str) -> dict[str, Any]:
    return {item.id: item.label for item in dataset.items[split]}


def write_kinetics(root: Path) -> None:
    head = "label,youtube_id,time_start,time_end,split\n"
    write_text(
        root,
        train__csv_in_annotations=head + "petting animal (not cat),-abcdefghij,3,13,train\n"
        '"massaging person\'s head",bbbbbbbbbbb,12.5,22.5,train\nyoga,gone-missing,0,10,train\n',
        validate__csv_in_annotations=head + "yoga,ccccccccccc,100,110,validate\n"
        "yoga,-abcdefghij,3,13,validate\n",
        test__csv_in_annotations="youtube_id,time_start,time_end,split\nddddddddddd,0,10,test\n",
    )
    write_videos(
        root,
        "petting_animal_(not_cat)/-abcdefghij_000003_000013.mp4",
        "massaging persons head/bbbbbbbbbbb_000012_000022.mp4",
        "ccccccccccc_000100_000110.mp4",
        "ddddddddddd_000000_000010.mp4",
        "unheard_000000_000010.mp4",
    )


def write_something(
    root: Path, prefix: str = "something-something-v2-", validation: str = "validation"
) -> None:
    template = "Pushing [something] from left to right"
    files = {
        "labels": {"Holding something": "0", "Pushing something from left to right": "1"},
        "train": [
            {"id": "1", "label": "pushing cup", "template": template, "placeholders": ["cup"]},
            {"id": "2", "label": "holding cup", "template": "Holding [something]", "placeholders": ["cup"]},
            {"id": "3", "label": "", "template": "Eating [something]", "placeholders": []},
            {"id": "4", "label": "holding", "template": "Holding [something]", "placeholders": []},
        ],
        validation: [{"id": "5", "label": "x", "template": template, "placeholders": ["cup"]}],
        "test": [{"id": "6"}],
    }
    for name, value in files.items():
        (root / f"{prefix}{name}.json").write_text(json.dumps(value))
    write_videos(root, *(f"20bn-something-something-v2/{number}.webm" for number in (1, 2, 3, 5, 6)))


EPIC_HEAD = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,"
    "stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
)


def epic_row(name: str, video: str, start: str, stop: str, frames: str, verb: str, noun: str) -> str:
    words = f"{verb} {noun},{verb},{96 if verb == 'wash' else 0},{noun},{299 if noun == 'pan' else 1}"
    return (
        f"""{name},P01,{video},{start},{start},{stop},{frames},"{words}","['{noun}, a']","[1]"\n""".replace(
            f'"{words}"', words
        )
    )


def write_epic(root: Path) -> None:
    write_text(
        root,
        EPIC_100_train__csv=EPIC_HEAD
        + epic_row("P01_01_0", "P01_01", "00:00:00.50", "00:00:01.00", "3,6", "wash", "pan")
        + epic_row("P01_01_1", "P01_01", "00:00:01.00", "00:00:00.50", "6,3", "take", "cup")
        + epic_row("P01_09_0", "P01_09", "00:00:00.00", "00:00:00.50", "1,3", "take", "cup"),
        EPIC_100_validation__csv=EPIC_HEAD
        + epic_row("P01_02_0", "P01_02", "00:00:01.00", "00:00:02.00", "7,13", "take", "cup"),
        EPIC_100_test_timestamps__csv=",".join(EPIC_HEAD.split(",")[:8])
        + "\nP01_01_9,P01,P01_01,00:00:00.00,00:00:00.00,00:00:00.40,1,3\n",
    )
    write_videos(root, "P01/videos/P01_01.mp4")
    write_images(root / "P01/rgb_frames/P01_02", "frame_%010d.jpg", range(1, 14))


def write_charades(root: Path) -> None:
    head = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
    middle = '6,7,Yes,"A person, sitting.",chair;cup,"He said ""no"".",'
    write_text(
        root,
        Charades_v1_train__csv_in_Charades=head
        + f"AAAAA,S1,Kitchen,{middle}c092 0.50 21.20;c147 0.00 0.60;c001 40.00 50.00,1.00\n"
        + f"BBBBB,S1,Kitchen,{middle},1.00\n"
        + f"CCCCC,S2,Bath,{middle}c000 0.00 1.00,1.00\n"
        + f"EEEEE,S2,Bath,{middle}c003 0.00 1.00,1.00\n",
        Charades_v1_test__csv_in_Charades=head + f"DDDDD,S3,Bath,{middle}c003 0.00 1.00,1.00\n",
        Charades_v1_classes__txt_in_Charades="c000 Holding some clothes\nc092 Taking a towel\n",
    )
    write_videos(root, *(f"Charades_v1_480/{name}.mp4" for name in ("AAAAA", "BBBBB", "CCCCC", "DDDDD")))


def write_moments(root: Path) -> None:
    write_text(
        root,
        moments_categories__txt="adult+female+singing,1\nwalking,0\n",
        trainingSet__csv="walking/a, b.mp4,walking,3,0\nadult+female+singing/c.mp4,adult+female+singing,2,1\n"
        "walking/gone.mp4,walking,3,0\nwalking/c.mp4,flying,1,1\n",
        validationSet__csv="walking/c.mp4,walking,3,0\n",
    )
    write_videos(
        root,
        "training/walking/a, b.mp4",
        "training/adult+female+singing/c.mp4",
        "training/walking/c.mp4",
        "validation/walking/c.mp4",
    )


def write_ucf(root: Path) -> None:
    groups = [f"Archery/v_Archery_g{group:02d}_c{clip:02d}.avi" for group in range(1, 9) for clip in (1, 2)]
    golf = [f"Golf Swing/v_GolfSwing_g{group:02d}_c01.avi" for group in range(1, 5)]
    lines = [f"{name} 1" for name in groups] + [f"{name} 2" for name in golf]
    write_text(
        root,
        classInd__txt_in_ucfTrainTestlist="1 Archery\n2 Golf Swing\n",
        trainlist01__txt_in_ucfTrainTestlist="\n".join([*lines, "Archery/v_Archery_g09_c01.avi 2"]),
        testlist01__txt_in_ucfTrainTestlist="Golf Swing/v_GolfSwing_g07_c01.avi\n"
        "Archery/v_Archery_g30_c01.avi\n",
        trainlist02__txt_in_ucfTrainTestlist="Archery/v_Archery_g01_c01.avi 1\n",
    )
    more = ("Archery/v_Archery_g09_c01.avi", "Golf Swing/v_GolfSwing_g07_c01.avi")
    write_videos(root, *(f"UCF-101/{name}" for name in (*groups, *golf, *more)))


def write_hmdb(root: Path) -> None:
    films = [f"film{number}_#1_(a)_run_f_cm_np1_ba_med_{clip}.avi" for number in range(9) for clip in (0, 1)]
    write_text(
        root,
        run_test_split1__txt_in_splits="\n".join([*(f"{name} 1 " for name in films), "x_run_0.avi 0 "]),
        run_test_split2__txt_in_splits="x_run_0.avi 1\n",
        brush_hair_test_split1__txt_in_splits="a_brush_hair_0.avi 2\nb_brush_hair_0.avi 1\ngone.avi 2\n",
    )
    names = ("brush_hair/a_brush_hair_0.avi", "brush_hair/b_brush_hair_0.avi", "run/x_run_0.avi")
    write_videos(root, *names, *(f"run/{name}" for name in films))


def write_list(root: Path) -> None:
    write_text(root, train__txt="my clips/a 7.mp4 0 2\nb,c.mp4,1\nframes 12 1 2\n", val__txt="d.mp4\t2\n")
    write_videos(root, "my clips/a 7.mp4", "b,c.mp4", "d.mp4")
    write_images(root / "frames 12", "img_%d.png", range(3, 12))


def write_folder(root: Path) -> None:
    for name in ("a", "b"):
        write_videos(root, f"train/{name}/[1] & #2!;.mp4", f"val/{name}/2.webm")
    write_images(root / "train/a/deep/clip 3", "%06d.jpg", range(5))
    write_images(root / "train/b", "loose_%d.jpg", range(1))
