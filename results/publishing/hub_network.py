"""The class that Hugging Face's client loads networks with and uploads them from; needs the extra ``hub``."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from results.publishing.hub_folder import LIBRARY
from search_space.architecture.architecture import Architecture
from search_space.errors import ExportError
from search_space.network.heads import Head
from search_space.network.model import MoViNet


@cache
def hub_network() -> Any:
    """Return the class of networks on the hub: a ``MoViNet`` with ``from_pretrained`` and ``push_to_hub``.

    Raises:
        ExportError: huggingface_hub is not installed.
    """
    try:
        mixin: Any = importlib.import_module("huggingface_hub").PyTorchModelHubMixin
    except ImportError as error:
        raise ExportError(
            "networks of the Hugging Face hub need huggingface_hub, which is not installed",
            hint="pip install 'movinas[hub]'",
        ) from error

    class HubNetwork(MoViNet, mixin, library_name=LIBRARY, tags=["movinet", "video-classification"]):  # type: ignore[misc, call-arg]
        """A network of ``config.json`` and ``model.safetensors``.

        Args:
            architecture: JSON form of its architecture.
            labels: names of the classes, by label.
        """

        def __init__(self, architecture: dict, labels: list) -> None:  # type: ignore[type-arg]
            super().__init__(Architecture.from_json(architecture), Head.single_label(len(labels)))
            self.labels = tuple(labels)

        @classmethod
        def _from_pretrained(cls, *, strict: bool = True, **arguments: Any) -> Any:
            # The client's own default leaves tensors that do not fit as they were, and says nothing; some of
            # its versions leave the network in training.
            return super()._from_pretrained(strict=strict, **arguments).eval()

    return HubNetwork
