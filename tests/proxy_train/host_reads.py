"""Where a computation waits for its device, seen without one: tensors without values stand for those there.

What a program asks of a GPU runs behind it, until it wants a value back, or hands over memory that the
system may move: then it waits for everything it has asked for so far. PyTorch's ``meta`` device computes
shapes only, through the same code as a GPU's.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).parent.parent.parent
_VALUE_NEEDED = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class HostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that notes every wait for ``device``, and goes on with a made-up value where one is read.

    Attributes:
        places: lines of this project that waited, one for each time.
    """

    def __init__(self, device: str = "meta") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device
        self.places: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation, or note that it waits."""
        kwargs = kwargs or {}
        there = [each for each in tree_leaves((args, kwargs)) if self.is_there(each)]
        if func is torch.ops.aten._local_scalar_dense.default and there:
            self.note("reads a value")
            return torch.zeros((), dtype=there[0].dtype).item()
        if there and _VALUE_NEEDED & set(func.tags) and not _is_gather(func, args):
            self.note(f"needs values for {func}")
        if func in _COPIES:
            return self._copied(func, args, kwargs)
        return func(*args, **kwargs)

    def _copied(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        source = args[1] if func is torch.ops.aten.copy_.default else args[0]
        target = args[0].device if func is torch.ops.aten.copy_.default else kwargs.get("device")
        target = source.device if target is None else torch.device(target)
        if source.device.type == target.type:
            return func(*args, **kwargs)
        waits = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
        if target.type != self._device:
            self.note("copies to the CPU")
            return torch.zeros(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        if waits:
            self.note("copies from the CPU")
        return func(*args, **kwargs)

    def __enter__(self) -> HostReads:
        self._constants = _Constants(self)
        self._constants.__enter__()  # type: ignore[no-untyped-call]
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._constants.__exit__(*error)  # type: ignore[no-untyped-call]

    def is_there(self, value: object) -> bool:
        """Return whether a value is a tensor on the device."""
        return isinstance(value, Tensor) and value.device.type == self._device

    def note(self, what: str) -> None:
        """Note a wait, at the project's line that asked for it."""
        own = [
            frame
            for frame in traceback.extract_stack()[:-2]
            if frame.filename.startswith(str(ROOT))
            # An environment inside of the project's folder is not the project.
            and "site-packages" not in frame.filename
            and not frame.filename.endswith("host_reads.py")
        ]
        at = own[-1] if own else traceback.extract_stack()[0]
        self.places.append(f"{Path(at.filename).name}:{at.lineno} {what}: {at.line}")


class _Constants(TorchFunctionMode):
    """A mode that notes tensors that are made on the device from numbers of the program."""

    def __init__(self, reads: HostReads) -> None:
        super().__init__()
        self._reads = reads

    def __torch_function__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function."""
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and self._reads.is_there(result):
            self._reads.note("copies numbers from the program")
        return result


def _is_gather(func: object, args: tuple[Any, ...]) -> bool:
    """Return whether an operation picks by numbers, which says how much it gives; masks do not."""
    if func not in (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default):
        return False
    return all(each is None or each.dtype not in (torch.bool, torch.uint8) for each in args[1])
