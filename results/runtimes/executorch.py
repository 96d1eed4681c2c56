"""ExecuTorch files, run with its XNNPACK kernels; int8 through PyTorch's quantisation of graphs. An extra."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from results.runtimes.runtime import Compute, Program, Runtime, first_line, quiet
from search_space.errors import ExportError

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_XNNPACK = "executorch.backends.xnnpack"
_LOGGERS = ("torch", "torchao", "executorch")


class _ExecuTorch(Runtime):
    name = "executorch"
    modules = ("executorch.exir", f"{_XNNPACK}.partition.xnnpack_partitioner")
    suffix = ".pte"
    packages = ("executorch", "torchao")
    precisions = ("float32", "int8")

    def module(self, name: str) -> Any:
        """See :class:`Runtime`."""
        with quiet(*_LOGGERS):
            return super().module(name)

    def convert(self, program: Program, path: Path) -> None:
        """See :class:`Runtime`."""
        import torch

        exir, partition = (self.module(name) for name in self.modules)
        try:
            with quiet(*_LOGGERS), torch.no_grad():
                recorded = torch.export.export(program.module, program.examples[0], strict=False)
                if program.precision == "int8":
                    recorded = _quantised(recorded, program)
                lowered = exir.to_edge_transform_and_lower(
                    recorded, partitioner=[partition.XnnpackPartitioner()]
                )
                path.write_bytes(lowered.to_executorch().buffer)
        except Exception as error:
            # The compiler is many libraries deep, and each raises its own.
            raise ExportError(
                f"ExecuTorch cannot convert the network: {first_line(error)}",
                hint="check the installed versions of torch and executorch",
            ) from error

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`."""
        import torch

        try:
            with quiet(*_LOGGERS):
                native: Any = importlib.import_module("executorch.extension.pybindings.portable_lib")
                importlib.import_module("executorch.kernels.quantized")
        except ImportError as error:
            raise ExportError(
                f"{path} needs ExecuTorch, which is not installed", hint="pip install 'movinas[executorch]'"
            ) from error
        # One pool for the whole process: the runtime has no threads of one program.
        native._unsafe_reset_threadpool(threads)
        try:
            module = native._load_for_executorch(str(path))
        except RuntimeError as error:
            raise ExportError(
                f"ExecuTorch cannot load {path}: {first_line(error)}", hint="export the member again"
            ) from error

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            arguments = [torch.from_numpy(np.ascontiguousarray(feed[name])) for name in inputs]
            tensors = module.forward(arguments)
            return {name: tensor.numpy().copy() for name, tensor in zip(outputs, tensors, strict=True)}

        return compute


def _quantised(recorded: ExportedProgram, program: Program) -> ExportedProgram:
    """Quantise weights by channel and activations by tensor to 8 bits, with the examples' ranges."""
    import torch

    quantizers: Any = importlib.import_module(f"{_XNNPACK}.quantizer.xnnpack_quantizer")
    pt2e: Any = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    quantizer = quantizers.XNNPACKQuantizer().set_global(
        quantizers.get_symmetric_quantization_config(is_per_channel=True)
    )
    prepared = pt2e.prepare_pt2e(recorded.module(), quantizer)
    for example in program.examples:
        prepared(*example)
    converted = pt2e.convert_pt2e(prepared)
    return torch.export.export(converted, program.examples[0], strict=False)


EXECUTORCH = _ExecuTorch()
