"""What a spot machine is told of its end."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from http.client import HTTPException

import pytest

from searcher.cluster import spot_notice
from searcher.cluster.spot_notice import LEAST_SECONDS, drain, nodes_here, read_notice, watch
from tests.searcher.metadata import metadata

END = datetime(2026, 12, 1, 8, 22, tzinfo=UTC)


def test_a_notice_says_when_the_machine_ends() -> None:
    with metadata() as told:
        assert read_notice(told.address) is None
        told.take_away(END)
        assert read_notice(told.address) == END


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"time": 5}', '{"time": "soon"}', "<html>"])
def test_an_answer_of_another_form_is_no_notice(text: str) -> None:
    with metadata() as told:
        told.notice = text
        with pytest.raises(ValueError):
            read_notice(told.address)


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with metadata() as told:
        assert read_notice(told.address) is None
    with pytest.raises(OSError):
        read_notice(told.address)


def test_where_ray_runs_no_node_there_is_nothing_to_watch() -> None:
    assert nodes_here("127.0.0.1:1") == {}
    watch("127.0.0.1:1", "http://127.0.0.1:1")


@pytest.mark.parametrize("minutes", [-600, 2])
def test_trainings_get_their_time_whatever_the_clock_says(
    minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    class Client:
        def __init__(self, address: str) -> None:
            assert address == "head:6379"

        def drain_node(self, node: str, reason: int, message: str, deadline: int) -> tuple[bool, str]:
            asked.append(deadline / 1000)
            return node == "known" and reason == 2 and "taken away" in message, "no such node"

    monkeypatch.setattr(spot_notice, "GcsClient", Client)
    before, end = time.time(), datetime.now(UTC) + timedelta(minutes=minutes)
    drain("known", "head:6379", end)
    # In whole milliseconds.
    assert asked[0] + 0.001 >= max(end.timestamp(), before + LEAST_SECONDS)
    assert asked[0] <= max(end.timestamp(), time.time() + LEAST_SECONDS)
    with pytest.raises(RuntimeError, match="no such node"):
        drain("unknown", "head:6379", end)


def test_the_watch_goes_on_after_whatever_the_metadata_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [HTTPException("half an answer"), ValueError("of another form"), OSError("nobody there")]
    asked: list[str] = []

    def read(metadata: str) -> None:
        asked.append(metadata)
        raise errors[len(asked) - 1]

    monkeypatch.setattr(spot_notice, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(spot_notice, "read_notice", read)
    monkeypatch.setattr(
        spot_notice, "nodes_here", lambda address: {} if len(asked) == len(errors) else {"node": "head"}
    )
    watch(None, "here")
    assert asked == ["here"] * len(errors)
