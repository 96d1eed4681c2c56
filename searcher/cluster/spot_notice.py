"""The notice of AWS that a spot machine is taken away, passed on to Ray.

As a program, beside the node of Ray on such a machine::

    python -m searcher.cluster.spot_notice

A machine gets the notice two minutes before it ends, and Ray in its container nothing at all. Drained, Ray
starts nothing new on the node, and its trainings write their checkpoints and go on elsewhere. The program
ends with the node.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.client import HTTPException

from ray._raylet import GcsClient  # type: ignore[attr-defined]  # compiled
from ray.core.generated import autoscaler_pb2
from ray.exceptions import RayError

from searcher.cluster.leaving import command_lines

METADATA = "http://169.254.169.254/latest"
"""Address of a machine's facts about itself, on every machine of AWS."""
POLL_SECONDS = 5.0
"""Pause between two questions, as AWS recommends."""
LEAST_SECONDS = 30.0
"""Least time that trainings get: a clock that is wrong, or a late answer, must not end the node at once."""
_TIMEOUT_SECONDS, _LONGEST_ANSWER = 2.0, 2**16
_LOG = logging.getLogger("searcher.cluster.spot_notice")
# A machine's own facts are behind no proxy.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read_notice(metadata: str = METADATA) -> datetime | None:
    """Return when this machine is going to be taken away; None if nothing is known of that.

    Args:
        metadata: address of the machine's facts (EC2's instance metadata service, version 2).

    Raises:
        OSError, HTTPException: the facts cannot be read.
        ValueError: they have another form.
    """
    try:
        token = _answer(f"{metadata}/api/token", "PUT", {"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        address = f"{metadata}/meta-data/spot/instance-action"
        notice = json.loads(_answer(address, "GET", {"X-aws-ec2-metadata-token": token}))
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    if not (isinstance(notice, dict) and isinstance(notice.get("time"), str)):
        raise ValueError(f"a notice without its time: {str(notice)[:200]}")
    return datetime.fromisoformat(notice["time"])


def _answer(address: str, method: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(address, method=method, headers=headers)
    with _DIRECT.open(request, timeout=_TIMEOUT_SECONDS) as response:
        return str(response.read(_LONGEST_ANSWER), "utf-8")


def nodes_here(address: str | None = None) -> dict[str, str]:
    """Return the nodes that Ray runs on this machine, but no heads: addresses of their heads, by their ids.

    Args:
        address: HOST:PORT of a head, for the nodes of its cluster alone.
    """
    found = {}
    for words in command_lines().values():
        given = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
        node, head = given.get("node_id"), given.get("gcs-address")
        is_head = "node:__internal_head__" in given.get("static_resource_list", "")
        if node and head and not is_head and address in (None, head):
            found[node] = head
    return found


def drain(node: str, head: str, end: datetime) -> None:
    """Tell Ray that a node is going to be taken away.

    Args:
        node: id of the node.
        head: HOST:PORT of the cluster's head.
        end: when it ends; Ray ends what is left of it then.

    Raises:
        RayError: the cluster cannot be reached.
        RuntimeError: it refuses.
    """
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    message = f"this spot machine is taken away at {end.isoformat()}"
    deadline = max(end, datetime.now(UTC) + timedelta(seconds=LEAST_SECONDS))
    accepted, refusal = GcsClient(address=head).drain_node(
        node, reason, message, int(deadline.timestamp() * 1000)
    )
    if not accepted:
        raise RuntimeError(refusal)


def watch(address: str | None = None, metadata: str = METADATA) -> None:
    """Wait for the notice, and drain the nodes of this machine then; return when they have ended.

    Args:
        address: HOST:PORT of a head, for the nodes of its cluster alone.
        metadata: address of the machine's facts.
    """
    nodes, drained, complaint = nodes_here(address), set[str](), ""
    _LOG.info("watching over %s", ", ".join(nodes) or "nothing: Ray runs no node on this machine")
    while nodes.keys() & nodes_here(address).keys():
        try:
            if (end := read_notice(metadata)) is not None:
                for node in nodes.keys() - drained:
                    drain(node, nodes[node], end)
                    drained.add(node)
                    _LOG.info("node %s is drained: its machine is taken away at %s", node, end)
        except (OSError, HTTPException, ValueError, RuntimeError, RayError) as error:
            if str(error) != complaint:
                complaint = str(error)
                _LOG.warning("no notice could be read or passed on, it is tried again: %s", error)
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Watch over the nodes of this machine; see the module."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    watch(*sys.argv[1:])


if __name__ == "__main__":
    main()
