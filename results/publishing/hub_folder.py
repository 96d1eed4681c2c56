"""A folder as the Hugging Face hub expects it: ``config.json``, ``model.safetensors``, a model card.

Writing needs nothing of Hugging Face's. Its client uploads the folder (``hf upload NAME FOLDER``) and loads
it; ``hub_network`` has the class for that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from results.family.card import card
from results.member import Member, load_network
from search_space.files import write_json, write_text
from search_space.network.weights import save_weights
from searcher.objectives import score_of

CONFIG, HUB_WEIGHTS, MODEL_CARD = "config.json", "model.safetensors", "README.md"
HUB_FILES = (CONFIG, HUB_WEIGHTS, MODEL_CARD)
LIBRARY = "movinas"
_METRICS = {"top1": "accuracy", "stream_top1": "accuracy"}


def write_hub_folder(member: str | Path, folder: str | Path, *, license_name: str | None = None) -> Path:
    """Write a member's network as the hub expects it, and return the folder.

    Args:
        member: folder of the member.
        folder: folder to write into.
        license_name: license of the weights as the hub names it, such as ``apache-2.0``; by default the card
            names none.

    Raises:
        NetworkError: there is no member, or it is damaged.
        ExportError: it is an ensemble, which is no single network.
    """
    model, description = load_network(member)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    save_weights(model, place / HUB_WEIGHTS)
    write_json(place / CONFIG, hub_config(description))
    write_text(place / MODEL_CARD, model_card(description, license_name=license_name))
    return place


def hub_config(member: Member) -> dict[str, Any]:
    """Return ``config.json``: what builds the network, and what the hub's tools look for in it."""
    (architecture,) = member.architectures
    clip = member.input
    return {
        "model_type": "movinet",
        "library_name": LIBRARY,
        "architectures": ["HubNetwork"],
        "architecture": architecture.to_json(),
        "labels": list(member.labels),
        "num_labels": len(member.labels),
        "id2label": {str(index): label for index, label in enumerate(member.labels)},
        "label2id": {label: index for index, label in enumerate(member.labels)},
        "input": {
            "num_frames": clip.frames,
            "image_size": clip.size,
            "frames_per_second": clip.fps,
            "channels": "RGB, 0 to 1, no mean subtracted",
        },
    }


def is_hub_file(path: Path) -> bool:
    """Return whether ``write_hub_folder`` wrote a folder's file, as the folder's own config tells."""
    try:
        text = (path.parent / CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return f'"library_name": "{LIBRARY}"' in text


def hub_labels(folder: Path) -> tuple[str, ...] | None:
    """Return the names of the outputs that a folder's config gives; None if it is no folder of the hub."""
    if not is_hub_file(folder / CONFIG):
        return None
    try:
        labels = json.loads((folder / CONFIG).read_text(encoding="utf-8")).get("labels")
    except ValueError:
        return None
    return tuple(map(str, labels)) if isinstance(labels, list) else None


def model_card(member: Member, *, license_name: str | None = None) -> str:
    """Return the card as Markdown, with metadata in YAML before it.

    Args:
        member: description of the member.
        license_name: license of the weights; None names none.
    """
    front: dict[str, Any] = {
        "library_name": LIBRARY,
        "pipeline_tag": "video-classification",
        "tags": ["movinet", "video-classification", "streaming" if member.streams else "clips"],
    }
    if license_name is not None:
        front["license"] = license_name
    if results := _results(member):
        front["model-index"] = [{"name": member.name, "results": results}]
    metadata = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    return f"---\n{metadata}---\n\n{card(member, running=_RUNNING)}"


def _results(member: Member) -> list[dict[str, Any]]:
    """Return the figures as the hub lists them; none if nothing was measured."""
    data = str(member.trained.get("data set", "the videos that it was evaluated on"))
    score = score_of([member.metrics]).name
    words = {"top1": f"{score}, whole clips", "stream_top1": f"{score}, frame by frame"}
    metrics = [
        {"type": kind if score == "top-1" else score, "name": words[key], "value": member.metrics[key]}
        for key, kind in _METRICS.items()
        if key in member.metrics
    ]
    if not metrics:
        return []
    task = {"type": "video-classification", "name": "Video classification"}
    return [{"task": task, "dataset": {"type": data, "name": data}, "metrics": metrics}]


_RUNNING = """\
```python
from results import hub_network

network = hub_network().from_pretrained(".")  # or its name on the hub; pip install 'movinas[hub]'
logits = network(clip)  # (batch, 3, frames, height, width), 0 to 1
print(network.labels[int(logits[0].argmax())])
```

`model.safetensors` holds the tensors by the names of `search_space.network.model.MoViNet`, `config.json` the
architecture that it is built from."""
