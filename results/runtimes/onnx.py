"""ONNX files through PyTorch's exporter: one that many runtimes read, and one made for ONNX Runtime.

Both run in ONNX Runtime here; int8 is written as quantise-dequantise pairs.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from results.runtimes.runtime import Arrays, Compute, Program, Runtime, first_line, quiet
from results.runtimes.sidecar import Precision
from search_space.collection import without_collection
from search_space.errors import ExportError

OPSET = 20
_LOGGERS = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class Onnx(Runtime):
    """The portable file, in ONNX Runtime."""

    name = "onnx"
    suffix = ".onnx"
    packages: tuple[str, ...] = ("onnx", "onnxscript", "onnxruntime")
    precisions: tuple[Precision, ...] = ("float32", "float16", "int8")
    oldest = "1.17"
    graph = "portable"

    def convert(self, program: Program, path: Path) -> None:
        """See :class:`Runtime`."""
        import torch

        try:
            with quiet(*_LOGGERS), without_collection(), torch.no_grad():
                recorded = torch.export.export(program.module, program.examples[0], strict=False)
                converted = torch.onnx.export(
                    recorded,
                    (),
                    dynamo=True,
                    optimize=True,
                    verbose=False,
                    opset_version=OPSET,
                    input_names=list(program.inputs),
                    output_names=list(program.outputs),
                )
                if converted is None:
                    raise ExportError(
                        "the exporter returned nothing", hint="check the installed versions of torch and onnx"
                    )
                converted.save(str(path), external_data=False)
        except (RuntimeError, TypeError, KeyError, AttributeError) as error:
            # What torch's exporter raises for a network that it cannot convert.
            raise ExportError(
                f"the exporter cannot convert the network: {first_line(error)}",
                hint="check the installed versions of torch and onnx",
            ) from error
        # onnx is not needed to run exports.
        passes = importlib.import_module("results.runtimes.onnx_passes")
        if program.precision == "int8":
            passes.make_portable(path)
            _quantise(path, program)
            passes.for_old_runtimes(path)
        else:
            self.finish(path)
        if program.precision == "float16":
            importlib.import_module("results.runtimes.onnx_weights").halve_weights(path)

    def finish(self, path: Path) -> None:
        """Rewrite what the exporter wrote, for the runtime."""
        importlib.import_module("results.runtimes.onnx_passes").make_portable(path)

    def load(self, path: Path, inputs: Sequence[str], outputs: Sequence[str], threads: int) -> Compute:
        """See :class:`Runtime`."""
        onnxruntime = importlib.import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            model = _loadable(path)
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # The runtime raises a dozen unrelated classes of its own C extension; all of them mean that it
            # cannot load.
            raise ExportError(
                f"ONNX Runtime cannot load {path}: {error}", hint="export the member again"
            ) from error

        def compute(feed: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
            return dict(
                zip(outputs, session.run(outputs, {name: feed[name] for name in inputs}), strict=True)
            )

        return compute


def _quantise(path: Path, program: Program) -> None:
    """Quantise the dense layers that gain: weights by channel, activations by tensor, in examples' ranges.

    Counters and running sums stay as they are: they grow, and 8 bits could not tell frames apart.
    """
    layers_in_8_bits = importlib.import_module("results.runtimes.onnx_weights").layers_in_8_bits
    quantization = importlib.import_module("onnxruntime.quantization")
    feeds = [program.feed(number) for number in range(len(program.examples))]

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self._left = iter(feeds)

        def get_next(self) -> Arrays | None:
            return next(self._left, None)

    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / path.name
        quantization.quant_pre_process(str(path), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(path),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            nodes_to_quantize=layers_in_8_bits(prepared),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def _loadable(path: Path) -> str | bytes:
    """Return a file's path, or what is in it if the path is no text: the runtime takes paths as UTF-8."""
    try:
        path.as_posix().encode("utf-8")
    except UnicodeEncodeError:
        return path.read_bytes()
    return str(path)


class _OnnxRuntime(Onnx):
    name = "onnxruntime"
    named_files = True
    graph = "for ONNX Runtime on x86 processors"

    def finish(self, path: Path) -> None:
        """See :meth:`Onnx.finish`."""
        importlib.import_module("results.runtimes.onnx_passes").make_fast(path)


ONNX = Onnx()
ONNXRUNTIME = _OnnxRuntime()
