"""The latency of a network as a worker measures it: an objective or a soft constraint of a search."""

from __future__ import annotations

from search_space.architecture.parts import ClipShape
from search_space.cost.stopwatch import network_latency
from search_space.network.folding import fold
from search_space.network.model import MoViNet

WARMUP, CALLS = 5, 31


def latency(model: MoViNet, clip: ClipShape) -> dict[str, float]:
    """Measure the median time of one frame's step of a stream network, or of one clip of a base network.

    Args:
        model: network in its training form; its weights do not matter, and it is not changed.
        clip: shape of the clip that the network is made for.

    Returns:
        ``latency_ms`` in milliseconds, and ``latency_frames``: the number of frames that it covers, 1 or the
        clip's.
    """
    folded = fold(model).cpu().eval()
    measured = network_latency(folded, clip, calls=CALLS, warmup=WARMUP)
    frames = 1 if folded.architecture.options.causal else clip.frames
    return {"latency_ms": measured.median, "latency_frames": float(frames)}
