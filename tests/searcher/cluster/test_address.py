"""Addresses of clusters: what is refused at once instead of after minutes of waiting."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from search_space.errors import SettingsError
from searcher.cluster import address as address_module
from searcher.cluster.address import ClusterError, resolve
from searcher.settings.checks import check_settings
from searcher.settings.settings import SearchSettings
from tests.searcher.ray_nodes import certificates
from tests.searcher.tiny_driver import tiny_settings


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that say nothing need not be waited for."""
    monkeypatch.setattr(address_module, "_HELLO_SECONDS", 0.5)


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


@contextmanager
def answering(greet: Callable[[socket.socket], object]) -> Iterator[str]:
    """A server that does so with each connection; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        greet(connection)
                        # Until the other side has enough.
                        connection.recv(1)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_cluster_and_a_driver_of_which_one_encrypts_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is, both say hello.
    monkeypatch.setattr(address_module, "_HELLO_SECONDS", 60.0)
    files = certificates(tmp_path)
    own = files["RAY_TLS_SERVER_CERT"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, files["RAY_TLS_SERVER_KEY"])
    # As Ray's own, it asks for a certificate, which this process has not.
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(own)

    def encrypted(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True)

    def plain(connection: socket.socket) -> None:
        # The first frame of HTTP/2, with the server's settings.
        connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))

    for greet, use in ((encrypted, "1"), (plain, "0")):
        with answering(greet) as address:
            monkeypatch.setenv("RAY_USE_TLS", use)
            assert resolve(address) == address
            monkeypatch.setenv("RAY_USE_TLS", str(1 - int(use)))
            with pytest.raises(ClusterError, match=r"encrypt.*RAY_USE_TLS is .*RAY_TLS_SERVER_CERT"):
                resolve(address)


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
