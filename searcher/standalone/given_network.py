"""A network with weights that somebody else trained, whole: classifier included."""

from __future__ import annotations

import hashlib
from pathlib import Path

from proxy_train.training.initial_weights import InitialWeights
from search_space.architecture.architecture import Architecture
from search_space.errors import NetworkError
from search_space.files import sha256
from search_space.network.heads import Head
from search_space.network.model import MoViNet, build


def network_with_weights(architecture: Architecture, head: Head, weights: Path) -> MoViNet:
    """Build a network with given weights, in evaluation mode.

    Args:
        architecture: architecture of the network.
        head: meaning of its outputs.
        weights: weights in any form that ``InitialWeights`` reads.

    Raises:
        NetworkError: they cannot be read, or are of another architecture or number of classes.
    """
    network = build(architecture, head, seed=0)
    if not InitialWeights(weights).load_into(network):
        raise NetworkError(
            f"{weights} has a classifier for another number of classes than {head.outputs}",
            hint="give the names of its outputs with --labels, or data of its classes",
        )
    return network.eval()


def weights_digest(weights: Path) -> str:
    """Return 16 hexadecimal digits that change with any byte of a file, a folder or a checkpoint's files.

    Raises:
        NetworkError: there is no such thing.
    """
    files = [weights] if weights.is_file() else sorted(weights.rglob("*"))
    if not weights.exists():
        # A TensorFlow checkpoint is named by the prefix of its files.
        files = sorted(weights.parent.glob(f"{weights.name}.*"))
    files = [file for file in files if file.is_file()]
    if not files:
        raise NetworkError(f"{weights}: there are no weights", hint="give a file, a folder or a checkpoint")
    content = hashlib.sha256()
    for file in files:
        content.update(bytes.fromhex(sha256(file)))
    return content.hexdigest()[:16]
