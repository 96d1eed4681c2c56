"""What other runtimes make of exports: the largest difference from ONNX Runtime's logits, in a table.

Sixteen chained frames of noise go through each ``step.onnx`` below the folders, two clips through each
``clip.onnx``, unchanged, in each runtime that is installed. Each file runs in a process of its own: a runtime
that crashes ends nothing else. It needs only NumPy and the runtimes; those that do not go together stand in
environments of their own:

    pip install onnxruntime openvino opencv-python-headless
    python benchmarks/other_runtimes.py runs/quickstart/family
    python benchmarks/other_runtimes.py FOLDER --python ncnn=/a/bin/python --python opencv=/b/bin/python

Networks to run are made in this program's own environment:

    python -m benchmarks.other_runtimes FOLDER --make
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAMES, CLIPS = 16, 2
TOLERANCE = 1e-4
"""Largest difference that is right, as a share of the largest logit; it is that of exports."""
LIMIT = 900.0
"""Seconds that a runtime has for one network; some compile for a minute."""
Feed = Mapping[str, NDArray[np.float32]]
Compute = Callable[[Feed], Feed]


@dataclass(frozen=True)
class Step:
    """A file, a step or a clip form, with the names and shapes of its inputs and outputs, in order."""

    path: Path
    inputs: Sequence[str]
    outputs: Sequence[str]
    shapes: Mapping[str, Sequence[int]]


def onnxruntime(step: Step) -> Compute:
    """Open a step in ONNX Runtime, whose logits are the reference."""
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(step.path), options, providers=["CPUExecutionProvider"])
    return lambda feed: dict(zip(step.outputs, session.run(step.outputs, feed), strict=True))


def reference(step: Step) -> Compute:
    """Open a step in the ONNX project's own evaluator, which is slow."""
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator(str(step.path))
    return lambda feed: dict(zip(step.outputs, evaluator.run(list(step.outputs), dict(feed)), strict=True))


def openvino(step: Step) -> Compute:
    """Open a step in OpenVINO, in float32: where a processor has bfloat16, it would use that."""
    runtime = importlib.import_module("openvino")
    core = runtime.Core()
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    model = core.compile_model(core.read_model(str(step.path)), "CPU", options)

    def compute(feed: Feed) -> Feed:
        found = model(feed, share_inputs=True)  # else each is copied
        return {name: np.array(found[name]) for name in step.outputs}

    return compute


def opencv(step: Step) -> Compute:
    """Open a step in OpenCV's module for networks."""
    runtime = importlib.import_module("cv2")
    runtime.setNumThreads(1)
    model = runtime.dnn.readNetFromONNX(str(step.path))

    def compute(feed: Feed) -> Feed:
        for name, values in feed.items():
            model.setInput(values, name)
        found = model.forward(list(step.outputs))
        return {name: np.array(values) for name, values in zip(step.outputs, found, strict=True)}

    return compute


def tract(step: Step) -> Compute:
    """Open a step in tract, whose inputs and outputs are taken by their order."""
    model = importlib.import_module("tract").onnx().load(str(step.path)).into_model().into_runnable()

    def compute(feed: Feed) -> Feed:
        found = model.run([feed[name] for name in step.inputs])
        return {name: np.array(value.to_numpy()) for name, value in zip(step.outputs, found, strict=True)}

    return compute


def ncnn(step: Step) -> Compute:
    """Open a step in ncnn through pnnx, in float32; it has no axis for the batch."""
    runtime = importlib.import_module("ncnn")
    if step.inputs == ["clip"]:
        raise RuntimeError("it has no axis for the frames of a clip")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "step.onnx"
        copy.write_bytes(step.path.read_bytes())
        shapes = ",".join(str(list(step.shapes[name])).replace(" ", "") for name in step.inputs)
        # Importing it would need torch; its program does not.
        package = importlib.metadata.distribution("pnnx").locate_file("pnnx/pnnx")
        subprocess.run(
            [str(package), copy.name, f"inputshape={shapes}", "fp16=0"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        net = runtime.Net()
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
        net.opt.num_threads = 1
        for load, suffix in ((net.load_param, "param"), (net.load_model, "bin")):
            if load(str(copy.with_suffix(f".ncnn.{suffix}"))):
                raise RuntimeError(f"ncnn cannot load its .{suffix} file")

    def compute(feed: Feed) -> Feed:
        extractor = net.create_extractor()
        kept = [runtime.Mat(np.ascontiguousarray(feed[name][0])) for name in step.inputs]
        for index, values in enumerate(kept):
            extractor.input(f"in{index}", values)
        found = {}
        for index, name in enumerate(step.outputs):
            status, values = extractor.extract(f"out{index}")
            if status:
                raise RuntimeError(f"ncnn gives status {status} for {name}")
            found[name] = np.array(values)[None]
            if list(found[name].shape) != list(step.shapes[name]):
                raise RuntimeError(f"{name} is {found[name].shape}, not {tuple(step.shapes[name])}")
        return found

    return compute


def mnn(step: Step) -> Compute:
    """Open a step in MNN, through its own converter."""
    runtime: Any = importlib.import_module("MNN")
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "step.mnn")
        program = Path(sys.executable).with_name("mnnconvert")
        subprocess.run(
            [str(program), "-f", "ONNX", "--modelFile", str(step.path), "--MNNModel", file, "--bizCode", "x"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        module = runtime.nn.load_module_from_file(file, list(step.inputs), list(step.outputs))
    planes = runtime.expr.NCHW

    def compute(feed: Feed) -> Feed:
        given = [
            runtime.expr.const(feed[name], list(feed[name].shape), planes, runtime.expr.float)
            for name in step.inputs
        ]
        found = [runtime.expr.convert(value, planes) for value in module.forward(given)]
        return {name: np.array(value.read()) for name, value in zip(step.outputs, found, strict=True)}

    return compute


def onnx2tf(step: Step) -> Compute:
    """Open a step in LiteRT through onnx2tf, which is told to keep all inputs' axes in their order."""
    runtime: Any = importlib.import_module("ai_edge_litert.interpreter")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("onnx2tf")
        subprocess.run(
            [str(program), "-i", str(step.path), "-o", folder, "-n", "-kat", *step.inputs],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        content = (Path(folder) / f"{step.path.stem}_float32.tflite").read_bytes()
    model = runtime.Interpreter(model_content=content, num_threads=1).get_signature_runner()
    return lambda feed: {name: np.array(values) for name, values in model(**feed).items()}


def iree(step: Step) -> Compute:
    """Open a step in IREE, compiled for this processor."""
    runtime, tools = importlib.import_module("iree.runtime"), Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as folder:
        text, binary = str(Path(folder) / "step.mlir"), Path(folder) / "step.vmfb"
        commands = (
            [f"{tools}/iree-import-onnx", str(step.path), "-o", text],
            [f"{tools}/iree-compile", text, "-o", str(binary), "--iree-hal-target-device=local",
             "--iree-hal-local-target-device-backends=llvm-cpu", "--iree-llvmcpu-target-cpu=host"],
        )  # fmt: skip
        for command in commands:
            subprocess.run(command, capture_output=True, text=True, check=True)
        context = runtime.SystemContext(config=runtime.Config("local-sync"))
        context.add_vm_module(runtime.VmModule.copy_buffer(context.instance, binary.read_bytes()))
    (module,) = (value for name, value in context.modules.items() if name != "hal")
    names = [name for name in module.vm_module.function_names if "$" not in name and "__" not in name]
    function = module[names[0]]

    def compute(feed: Feed) -> Feed:
        found = function(*(feed[name] for name in step.inputs))
        return {name: np.array(value.to_host()) for name, value in zip(step.outputs, found, strict=True)}

    return compute


def tvm(step: Step) -> Compute:
    """Open a step in TVM, compiled for this processor."""
    runtime: Any = importlib.import_module("tvm")
    frontend = importlib.import_module("tvm.relax.frontend.onnx")
    model = frontend.from_onnx(importlib.import_module("onnx").load(step.path), keep_params_in_input=False)
    machine = runtime.relax.VirtualMachine(runtime.compile(model, target="llvm"), runtime.cpu())

    def compute(feed: Feed) -> Feed:
        found = machine["main"](*(runtime.runtime.tensor(feed[name]) for name in step.inputs))
        return {name: np.array(value.numpy()) for name, value in zip(step.outputs, found, strict=True)}

    return compute


# What a runtime is called here, how it opens a step, and the packages whose versions are told.
RUNTIMES: Mapping[str, tuple[Callable[[Step], Compute], tuple[str, ...]]] = {
    "onnxruntime": (onnxruntime, ("onnxruntime",)),
    "reference": (reference, ("onnx",)),
    "openvino": (openvino, ("openvino",)),
    "opencv": (opencv, ("opencv-python-headless",)),
    "tract": (tract, ("tract",)),
    "ncnn": (ncnn, ("ncnn", "pnnx")),
    "mnn": (mnn, ("mnn",)),
    "onnx2tf": (onnx2tf, ("onnx2tf", "ai-edge-litert")),
    "iree": (iree, ("iree-base-compiler", "iree-base-runtime")),
    "tvm": (tvm, ("apache-tvm",)),
}
SUMMARY = "| {:<12} | {:<40} | {:>7} | {:>10} | {}"


def read_step(path: Path) -> tuple[Step, dict[str, Any]]:
    """Return a step and its sidecar."""
    sidecar = json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))
    inputs, outputs = ([each["name"] for each in sidecar[key]] for key in ("inputs", "outputs"))
    shapes = {each["name"]: each["shape"] for each in (*sidecar["inputs"], *sidecar["outputs"])}
    return Step(path, inputs, outputs, shapes), sidecar


def chained_logits(path: Path, make: Callable[[Step], Compute]) -> NDArray[np.float32]:
    """Return the logits of the chained frames, or of the clips, shape (calls, classes)."""
    step, sidecar = read_step(path)
    compute, rng = make(step), np.random.default_rng(0)
    states: dict[str, NDArray[np.float32]] = {
        each["name"]: np.zeros(each["shape"], np.float32) for each in sidecar["states"]
    }
    seen = []
    for number in range(1, (FRAMES if sidecar["form"] == "step" else CLIPS) + 1):
        pixels = step.inputs[0]
        feed: dict[str, Any] = {pixels: rng.random(step.shapes[pixels], dtype=np.float32)}
        for each in sidecar["counters"]:
            value = 1 / number if each["value"] == "1 / n" else number - 1
            feed[each["name"]] = np.full(each["shape"], value, np.float32)
        found = compute({**feed, **states})
        known = {**states, **found}
        states = {each["name"]: known[each["next"]] for each in sidecar["states"]}
        seen.append(found["logits"].ravel())
    return np.array(seen)


def version(runtime: str) -> str:
    """Return the versions of a runtime's packages in this environment; empty if one is missing."""
    try:
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in RUNTIMES[runtime][1])
    except importlib.metadata.PackageNotFoundError:
        return ""


def isolated(interpreter: str, runtime: str, path: Path) -> NDArray[np.float32] | str:
    """Return the logits that a runtime computes in a process of its own, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        computed = Path(folder) / "logits.npy"
        command = [interpreter, __file__, "--one", runtime, str(path), str(computed)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", check=False, timeout=LIMIT
            )
        except subprocess.TimeoutExpired:
            return f"not done after {LIMIT:.0f} s"
        if computed.is_file():
            logits: NDArray[np.float32] = np.load(computed)
            return logits
        if done.returncode < 0:
            return f"its process was ended by signal {-done.returncode}"
        lines = done.stderr.strip().splitlines()
        return lines[-1][:160] if lines else f"its process ended with status {done.returncode}"


def run_one(runtime: str, path: Path, computed: Path) -> None:
    """Write the logits of one network in one runtime, or its reason as the last line of standard error."""
    try:
        logits = chained_logits(path, RUNTIMES[runtime][0])
    except subprocess.CalledProcessError as error:
        lines = [line for line in f"{error.stdout}\n{error.stderr}".splitlines() if line.strip()]
        sys.exit(next((line for line in lines if "rror" in line), lines[-1] if lines else str(error)))
    except Exception as error:
        # Whatever a foreign runtime raises is its answer.
        lines = [line.strip("> ") for line in str(error).splitlines() if line.strip("> ")]
        sys.exit(next((line for line in lines if line.startswith("Node ")), (lines or [repr(error)])[0]))
    np.save(computed, logits)


def named(path: Path) -> str:
    """Return what an export is called in the table."""
    return path.parent.name if path.stem == "step" else f"{path.parent.name}'s {path.stem} form"


def row(runtime: str, told: str, expected: Mapping[Path, NDArray[np.float32]], interpreter: str) -> str:
    """Run all networks in one runtime, and return its line of the table."""
    right, largest, failures = 0, 0.0, defaultdict[str, list[str]](list)
    for path, theirs in expected.items():
        ours = isolated(interpreter, runtime, path)
        if isinstance(ours, str):
            failures[ours].append(named(path))
            continue
        difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        # Not a number is not right.
        if difference <= TOLERANCE:
            right, largest = right + 1, max(largest, difference)
        else:
            failures[f"differs by {difference:.1e}"].append(named(path))
    why = "; ".join(f"{reason} ({', '.join(names)})" for reason, names in failures.items())
    return SUMMARY.format(runtime, told, f"{right}/{len(expected)}", f"{largest:.1e}", why)


def compare(paths: Sequence[Path], environments: Sequence[tuple[str, str]], wanted: Sequence[str]) -> None:
    """Print a line for each runtime and environment."""
    found = {
        (name, interpreter): subprocess.run(
            [interpreter, __file__, "--version", name], capture_output=True, text=True, check=False
        ).stdout.strip()
        for name, interpreter in environments
    }
    installed = {key: told for key, told in found.items() if told}
    standard = next(
        (key for name in ("onnxruntime", "reference") for key in installed if key[0] == name), None
    )
    if standard is None or not paths:
        sys.exit(
            "no step.onnx or clip.onnx in these folders"
            if standard
            else "pip install onnxruntime, the reference"
        )
    expected, (name, interpreter) = {}, standard
    for path in paths:
        logits = isolated(interpreter, name, path)
        if isinstance(logits, str):
            sys.exit(f"{path}: {name}, the reference, fails: {logits}")
        expected[path] = logits
    print(f"{len(paths)} files, {FRAMES} chained frames each; the reference is {installed[standard]}")
    print(SUMMARY.format("runtime", "version", "right", "largest", "what is not right, and why"))
    for (name, interpreter), told in installed.items():
        if (name, interpreter) != standard and (not wanted or name in wanted):
            print(row(name, told, expected, interpreter), flush=True)
    missing = sorted(set(RUNTIMES) - {name for name, _ in installed})
    print(f"not installed: {', '.join(missing) or 'none'}")


def main() -> None:
    """Make networks, or compare runtimes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--make", action="store_true", help="export networks into the first folder")
    parser.add_argument("--python", action="append", default=[], metavar="RUNTIME=INTERPRETER")
    parser.add_argument("--only", action="append", default=[], choices=RUNTIMES, help="these runtimes alone")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--version", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        run_one(given.one[0], Path(given.one[1]), Path(given.one[2]))
    elif given.version:
        print(version(given.version))
    elif given.make:
        importlib.import_module("benchmarks.exported_networks").make(given.folders[0], FRAMES)
    else:
        others = [tuple(each.split("=", 1)) for each in given.python]
        environments = [(name, sys.executable) for name in RUNTIMES] + others
        files = [path for folder in given.folders for path in sorted(folder.rglob("*.onnx"))]
        paths = [path for path in files if path.name in {"step.onnx", "clip.onnx"}]
        compare(paths, environments, given.only)


if __name__ == "__main__":
    main()
