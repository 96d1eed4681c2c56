"""Files for the PyTorch port (package ``movinets``): a state dict, and what its constructor takes."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from results.member import load_network
from search_space.files import replacing, write_json
from search_space.network.sharing.port_weights import port_config, port_state_dict

STATE_DICT, PORT_CONFIG = "movinets.safetensors", "movinets.json"
PORT_FILES = (STATE_DICT, PORT_CONFIG)


def write_port_files(member: str | Path, folder: str | Path) -> Path:
    """Write a member's network for the port, and return the folder.

    ``movinets.safetensors`` fits the port's network of ``movinets.json``, whose ``arguments`` are those of
    its constructor beside ``cfg``.

    Args:
        member: folder of the member.
        folder: folder to write into.

    Raises:
        NetworkError: there is no member, it is damaged, or the port has no such network.
        ExportError: it is an ensemble, which is no single network.
    """
    model, description = load_network(member)
    state, place = port_state_dict(model), Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    with replacing(place / STATE_DICT) as temporary:
        save_file(state, temporary, {"for": "movinets", "architecture": model.architecture.text})
    arguments = {
        "causal": model.causal,
        "num_classes": model.classes,
        "conv_type": "2plus1d" if model.causal else "3d",
        "tf_like": True,
    }
    content = {"arguments": arguments, "labels": list(description.labels)}
    write_json(place / PORT_CONFIG, {"cfg": port_config(model.architecture), **content})
    return place


def is_port_file(path: Path) -> bool:
    """Return whether ``write_port_files`` wrote a folder's file, as the folder's own JSON tells."""
    try:
        text = (path.parent / PORT_CONFIG).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return '"tf_like"' in text and '"expanded_channels"' in text
