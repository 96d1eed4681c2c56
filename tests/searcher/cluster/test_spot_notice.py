"""What a spot machine is told of its end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from searcher.cluster.spot_notice import nodes_here, read_notice, watch
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
