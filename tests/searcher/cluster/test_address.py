"""Addresses of clusters: what is refused at once instead of after minutes of waiting."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from search_space.errors import SettingsError
from searcher.cluster.address import ClusterError, resolve
from searcher.settings.checks import check_settings
from searcher.settings.settings import SearchSettings
from tests.searcher.tiny_driver import tiny_settings


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://head:10001", "must run on a node of its cluster.*movinas launch"),
        ("http://head:8265", "must run on a node of its cluster"),
        ("head", "'head' is not an address .*HOST:PORT"),
        ("head:port", "HOST:PORT"),
        ("head:70000", "HOST:PORT"),
    ],
)
def test_an_address_of_another_form_is_refused(address: str, told: str) -> None:
    with pytest.raises(ClusterError, match=told):
        resolve(address)


def test_a_port_where_nobody_listens_is_refused_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert resolve(address) == address
    with pytest.raises(ClusterError, match=f"no cluster can be reached at {address}: .*is its head running"):
        resolve(address)
    with pytest.raises(ClusterError, match="no cluster can be reached"):
        check_settings(tiny_settings(tmp_path), address=address)


def test_auto_is_what_a_job_says_or_what_was_started_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ClusterError, match=r"no cluster was started on this machine.*ray start --head"):
        resolve("auto")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "ray_current_cluster").write_text(f"{address}\n")
        assert resolve("auto") == address
        (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert resolve("auto") == address


def test_a_cluster_may_have_what_this_machine_has_not(tmp_path: Path) -> None:
    settings = tiny_settings(tmp_path, workers=4096, trials=5000, gpus_per_trial=1)
    with pytest.raises(SettingsError, match=r"search\.workers is 4096"):
        check_settings(settings)
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_settings(settings, address=f"127.0.0.1:{server.getsockname()[1]}")


def test_workers_auto_follows_a_cluster_and_gpus_are_whole_or_parts_of_one() -> None:
    assert SearchSettings.model_validate({"workers": "auto"}).elastic
    assert not SearchSettings.model_validate({"workers": 2}).elastic
    assert not SearchSettings.model_validate({"workers": "auto", "elastic": False}).elastic
    for good in (0, 0.25, 1, 4):
        assert SearchSettings.model_validate({"gpus_per_trial": good}).gpus_per_trial == good
    with pytest.raises(ValueError, match="a fraction of one GPU, or whole ones"):
        SearchSettings.model_validate({"gpus_per_trial": 1.5})
