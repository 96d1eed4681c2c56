"""Text that comes from outside, such as names of files, as a line of a terminal can show it."""

from __future__ import annotations

import re

# Line ends and other controls, with Unicode's own, and what stands for bytes that are no text.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def escaped(text: str) -> str:
    """Return a text on one line that moves no cursor: controls and bytes that are no text become escapes."""
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
