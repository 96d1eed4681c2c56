"""PyTorch's own exported programs (.pt2), run in PyTorch; loaded only if nothing in them is a pickle."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from results.runtimes.runtime import Compute, Program, Runtime, first_line, quiet
from search_space.errors import ExportError

_HINT = "it is not an export of this program; export the member again"
_MODEL = "model"
_DIGITS = "0123456789"
_FACTS = {"archive_format", "archive_version", "byteorder", ".data/version", ".data/serialization_id"}
_GRAPH = f"models/{_MODEL}.json"
_LISTS = {
    f"data/weights/{_MODEL}_weights_config.json": ("data/weights/", "weight_"),
    f"data/constants/{_MODEL}_constants_config.json": ("data/constants/", "tensor_"),
}
_OPERATION = re.compile(r"(torch\.ops\.aten\.[\w.]+|_operator\.getitem)")
_NAME = re.compile(r"[\w.]*")


class _TorchExport(Runtime):
    name = "torch.export"
    suffix = ".pt2"
    packages = ()

    def convert(self, program: Program, path: Path) -> None:
        """See :class:`Runtime`."""
        import torch

        try:
            with quiet("torch.export", "torch._export"), torch.no_grad():
                recorded = torch.export.export(program.module, program.examples[0], strict=False)
                # They would be the one pickle in the file, and nothing needs them.
                recorded._example_inputs = None
                # Where in which file of this machine each operation comes from.
                for node in recorded.graph.nodes:
                    node.meta.pop("stack_trace", None)
                # An open file: not every path is text, as torch wants it.
                with path.open("wb") as file:
                    torch.export.save(recorded, file)
        except (RuntimeError, TypeError, KeyError, AttributeError) as error:
            raise ExportError(
                f"torch.export cannot convert the network: {first_line(error)}",
                hint="check the installed version of torch",
            ) from error

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`."""
        import torch

        from search_space.cost.stopwatch import torch_threads

        refuse_pickles(path)
        try:
            with quiet("torch.export", "torch._export"), path.open("rb") as file:
                module = torch.export.load(file).module(check_guards=False)
        except Exception as error:
            # Deserialising raises whatever its many parts raise.
            raise ExportError(
                f"torch.export cannot load {path}: {first_line(error)}", hint="export the member again"
            ) from error

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            with torch_threads(threads), torch.inference_mode():
                results = module(*(torch.from_numpy(feed[name]) for name in inputs))
            results = results if isinstance(results, tuple) else (results,)
            return {name: tensor.numpy() for name, tensor in zip(outputs, results, strict=True)}

        return compute


def refuse_pickles(path: Path) -> None:
    """Check that loading unpickles and evaluates nothing that the file brings.

    All that it may hold is raw weights, and a graph of PyTorch's own tensor operations on static shapes.

    ``torch.export.load`` unpickles weights and constants marked so, custom objects, files of an older layout,
    and example inputs; it evaluates symbolic shapes and guards, and writes names into code that it runs.
    It has no option against any of that.

    Raises:
        ExportError: it is not such a file, or holds more than that.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                # Below the archive's own folder, whatever its name.
                name = str(PurePosixPath(*PurePosixPath(entry.filename).parts[1:]))
                if not _is_plain(name, entry.file_size):
                    raise _refused(path, name)
                if name.endswith(".json"):
                    content = json.loads(archive.read(entry))
                    foreign = _in_graph(content) if name == _GRAPH else _in_list(content, name)
                    if foreign:
                        raise _refused(path, foreign)
    except (OSError, zipfile.BadZipFile, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} is damaged: {first_line(error)}", hint=_HINT) from error


def _refused(path: Path, what: str) -> ExportError:
    return ExportError(f"{path} holds {what[:80]}, which is not loaded from files", hint=_HINT)


def _is_plain(name: str, size: int) -> bool:
    if name in _FACTS or name == _GRAPH or name in _LISTS:
        return True
    if name == f"data/sample_inputs/{_MODEL}.pt":
        return size == 0
    return name.rstrip(_DIGITS) in {folder + word for folder, word in _LISTS.values()}


def _in_list(content: Any, name: str) -> str:
    """Return what a list of tensors has that is not a raw tensor; empty if nothing."""
    _, word = _LISTS[name]
    for key, entry in content["config"].items():
        if entry["use_pickle"] or entry["path_name"].rstrip(_DIGITS) != word:
            return f"{key} as a pickle"
    return ""


def _in_graph(content: Any) -> str:
    """Return what a graph has that is not a tensor operation on static shapes; empty if nothing."""
    if content["range_constraints"] or content.get("guards_code"):
        return "symbolic shapes or guards"
    return next(_foreign(content["graph_module"]), "")


def _foreign(content: Any) -> Iterator[str]:
    if isinstance(content, list):
        for item in content:
            yield from _foreign(item)
    if isinstance(content, dict):
        if {"target", "inputs", "outputs"} <= content.keys() and not _OPERATION.fullmatch(content["target"]):
            yield f"the operation {content['target']}"
        for key, value in content.items():
            if key == "expr_str":
                yield "symbolic shapes"
            elif key == "name" and isinstance(value, str) and not _NAME.fullmatch(value):
                yield f"the name {value!r}"
            elif key != "metadata":
                yield from _foreign(value)


TORCH_EXPORT = _TorchExport()
