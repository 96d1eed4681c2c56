"""Files that are whole or not there, and that those may read whom the umask lets."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from search_space.architecture.published import published
from search_space.files import replacing, write_json, write_text
from search_space.network.model import build
from search_space.network.weights import save_weights


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> int:
    before = os.umask(request.param)
    request.addfinalizer(lambda: os.umask(before))
    return int(request.param)


def test_the_umask_decides_who_may_read(tmp_path: Path, umask: int) -> None:
    write_text(tmp_path / "new" / "text.txt", "ä")
    with replacing(tmp_path / "weights.safetensors") as temporary:
        save_file({"a": torch.zeros(2)}, temporary)
        assert temporary.suffix == ".safetensors"
    save_weights(build(published("A0"), 3, seed=0), tmp_path / "whole.safetensors")
    written = [
        tmp_path / "new" / "text.txt",
        tmp_path / "weights.safetensors",
        tmp_path / "whole.safetensors",
    ]
    assert [mode(path) for path in written] == [0o666 & ~umask] * 3
    assert set(load_file(written[1])) == {"a"}


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": 1})
    with pytest.raises(RuntimeError), replacing(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"ü": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_link_stays_and_leads_to_what_is_written(tmp_path: Path) -> None:
    for name, target in {"link": "there/a", "dangling": "new/b", "itself": "itself"}.items():
        (tmp_path / name).symlink_to(target)
    write_text(tmp_path / "there/a", "before")
    for name in ("link", "dangling", "itself"):
        write_text(tmp_path / name, name)
        assert (tmp_path / name).read_text() == name
    assert (tmp_path / "there/a").read_text() == "link" and (tmp_path / "new/b").read_text() == "dangling"
    assert (tmp_path / "link").is_symlink() and not (tmp_path / "itself").is_symlink()


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    with replacing(tmp_path / "a") as one, replacing(tmp_path / "a") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"
