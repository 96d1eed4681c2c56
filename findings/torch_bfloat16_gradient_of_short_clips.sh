#!/usr/bin/env bash
# PyTorch 2.13.0, CPU: the gradient of a 3-D depthwise kernel in bfloat16 is not wholly written where clips are short.
#
# With fewer frames, rows or columns than the kernel has, elements of the last channel keep what the memory held
# before: the gradients of two like calls differ, by whatever was freed in between. Float32, and the same clip with
# its zeros written out (functional.pad) and no padding asked for, are right. Seen with channels innermost in memory.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torch.nn.functional import conv3d, pad

torch.set_num_threads(1)
torch.manual_seed(0)
GRADIENT = torch.randn(2, 16, 8, 4, 4)


def leave_in_memory(value: float) -> None:
    kept = [torch.full((2**power + index,), value) for power in range(3, 20) for index in range(6)]
    del kept[::2], kept


def error(dtype: torch.dtype, frames: int, written_out: bool) -> float:
    clip = torch.randn(2, 16, frames, 4, 4, generator=torch.Generator().manual_seed(1))
    clip = clip.to(dtype).contiguous(memory_format=torch.channels_last_3d)
    weight = torch.ones(16, 1, 5, 3, 3, dtype=dtype, requires_grad=True)
    gradient = GRADIENT[:, :, :frames].to(dtype).contiguous(memory_format=torch.channels_last_3d)
    if written_out:
        out = conv3d(pad(clip, (1, 1, 1, 1, 2, 2)), weight, groups=16)
    else:
        out = conv3d(clip, weight, padding=(2, 1, 1), groups=16)
    leave_in_memory(1e4)
    (got,) = torch.autograd.grad(out, weight, gradient)
    exact = torch.ones(16, 1, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    out = conv3d(clip.double(), exact, padding=(2, 1, 1), groups=16)
    (expected,) = torch.autograd.grad(out, exact, gradient.double())
    return float((got.double() - expected).abs().max())


seen = {}
for dtype, frames, written_out in (
    (torch.bfloat16, 4, False), (torch.bfloat16, 4, True), (torch.bfloat16, 8, False), (torch.float32, 4, False)
):
    worst = max(error(dtype, frames, written_out) for _ in range(5))
    name = f"{dtype}, {frames} frames{', zeros written out' if written_out else ''}"
    seen[name] = "wrong" if worst > 1 else "right"
    print(f"{name}: {seen[name]} (off by at most {worst:.2g})")
if list(seen.values()) != ["wrong", "right", "right", "right"]:
    raise SystemExit(f"changed: {seen}")
PYTHON
