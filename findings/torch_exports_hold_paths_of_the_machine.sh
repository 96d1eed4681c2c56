#!/usr/bin/env bash
# PyTorch 2.13.0: exported networks hold the paths of the source files on the machine that exported them.
#
# torch.onnx.export writes a stack trace into the metadata of each node of the ONNX file, and torch.export.save one for
# each operation of the .pt2 file: folders, names of users in them, and lines of source. Clearing metadata_props takes
# them out of an ONNX file, which computes the same; of a large network they are several per cent of the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 onnx==1.23.2 onnxscript==0.7.2
mkdir -p "$folder/home/somebody"
cat > "$folder/home/somebody/private_model.py" <<'PYTHON'
from torch import Tensor, nn


class Model(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x + 1.0).relu()
PYTHON
cd "$folder"
PYTHONPATH="$folder/home/somebody" venv/bin/python -W ignore - <<'PYTHON'
import pathlib
import zipfile

import onnx
import torch
from private_model import Model

program = torch.export.export(Model(), (torch.ones(2),), strict=False)
torch.onnx.export(program, (), dynamo=True, verbose=False).save("model.onnx")
torch.export.save(program, "model.pt2")


def held(parts: list[bytes]) -> bool:
    return any(b"somebody/private_model.py" in part for part in parts)


model = onnx.load("model.onnx")
for each in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
    each.ClearField("metadata_props")
with zipfile.ZipFile("model.pt2") as archive:
    parts = [archive.read(name) for name in archive.namelist()]
seen = {
    "model.onnx": held([pathlib.Path("model.onnx").read_bytes()]),
    "model.onnx without metadata_props": held([model.SerializeToString()]),
    "model.pt2": held(parts),
}
for name, holds in seen.items():
    print(f"{name}: {'holds' if holds else 'does not hold'} the path of the model's source")
if list(seen.values()) != [True, False, True]:
    raise SystemExit(f"changed: {seen}")
PYTHON
