"""The copies of a training's folder to an object store, made in a thread while the training goes on.

What the record holds is in the store: an epoch that is measured is reported once its files are there, so that
a worker that resumes finds every measured epoch, and none is trained or measured twice. Epochs between are in
no record, and are reported at once: only the copy of the epoch before is waited for. A worker that is lost
then costs the epoch that was not copied yet, one at most.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from searcher.cluster.checkpoint_mirror import Mirror

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS, _PAUSE_SECONDS = 0.1, 2.0
_WEIGHTS = "*.safetensors"


class BackgroundPush:
    """A thread that copies a folder to the store when an epoch is done, from ``begin`` to ``close``.

    Checkpoints are copied as soon as they are written, while the network is still evaluated.

    Args:
        mirror: store; this thread alone uses it until ``close``.
        folder: folder of the training on this machine.
        name: name of the folder in the store.
        patience: seconds for which a store that cannot be used is tried again.

    Attributes:
        folder: folder of the training on this machine.
        waited: seconds that the training waited for copies.
    """

    def __init__(self, mirror: Mirror, folder: Path, name: str, patience: float = 0.0) -> None:
        self.folder, self.waited = folder, 0.0
        self._mirror, self._name, self._patience = mirror, name, patience
        self._changed = threading.Condition()
        self._asked = self._done = 0
        self._error: Exception | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"copies of {name}", daemon=True)

    def begin(self) -> None:
        """Replace the content of the folder by what the store has of it, and start the thread."""
        self._mirror.pull(self._name, self.folder)
        self._thread.start()

    def keep(self, *, measured: bool) -> None:
        """Copy what an epoch has left behind.

        Args:
            measured: whether the record will hold the epoch; then its files are in the store on return.

        Raises:
            StoreError: this copy or the one before failed for as long as the patience lasts; names the store.
        """
        began = time.monotonic()
        try:
            with self._changed:
                self._wait_for(self._asked)
                self._asked += 1
                self._changed.notify_all()
                if measured:
                    self._wait_for(self._asked)
        finally:
            self.waited += time.monotonic() - began

    def close(self) -> None:
        """End the thread after the copy that was asked for, or that fails now; no copy is begun later."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def _wait_for(self, number: int) -> None:
        self._changed.wait_for(lambda: self._done >= number or self._error is not None)
        error, self._error = self._error, None
        if error is not None:
            # The next call asks for these files again.
            self._done = self._asked
            raise error

    def _run(self) -> None:
        failing_since: float | None = None
        while True:
            with self._changed:
                self._changed.wait_for(self._is_due, timeout=_LOOK_SECONDS)
                number, due = self._asked, self._is_due()
                if self._closed and not self._is_asked():
                    return
            try:
                # Between epochs, only files that appear at once and whole.
                self._mirror.push(self.folder, self._name, "*" if due else _WEIGHTS)
            except Exception as error:
                if due:
                    failing_since = failing_since or time.monotonic()
                    self._on_failure(error, time.monotonic() - failing_since)
                continue
            failing_since = None
            if due:
                with self._changed:
                    self._done = number
                    self._changed.notify_all()

    def _is_asked(self) -> bool:
        return self._asked > self._done and self._error is None

    def _is_due(self) -> bool:
        return self._is_asked() or self._closed

    def _on_failure(self, error: Exception, seconds: float) -> None:
        """Wait before another attempt; or give up, and hand the error to the training."""
        named = self._mirror.error(error)
        with self._changed:
            if seconds < self._patience and not self._closed:
                _LOG.warning("%s: trying again", named)
                self._changed.wait_for(lambda: self._closed, timeout=_PAUSE_SECONDS)
                return
            self._error = named
            self._changed.notify_all()
