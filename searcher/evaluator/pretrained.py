"""The trained networks of a run: those that its measurements name, and no others."""

from __future__ import annotations

from proxy_train.training.pretrained import Pretrained
from search_space.errors import SettingsError


def pretrained(text: str | None, digest: str, key: str) -> Pretrained | None:
    """Return the trained network that a fidelity names by a digest; None if it names none.

    Args:
        text: trained network of the settings.
        digest: digest of its weights as the fidelity has it.
        key: key of the setting, for the message.

    Raises:
        SettingsError: the weights on this machine are not those.
        NetworkError: there are no weights on this machine.
    """
    if not digest:
        return None
    found = None if text is None else Pretrained.parse(text)
    if found is None or not found.digest.startswith(digest):
        raise SettingsError(
            f"{key}: {text} does not hold the weights that the run was started with (digest {digest})",
            hint="put them back, or start a run of another name",
        )
    return found
