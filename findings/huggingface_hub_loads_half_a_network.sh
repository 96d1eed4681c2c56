#!/usr/bin/env bash
# huggingface_hub 1.0.0 and 2.4.0: PyTorchModelHubMixin.from_pretrained leaves layers that a file lacks at random
# weights, and says nothing; 1.0.0 returns the network in training mode, although its documentation says evaluation.
#
# The mixin passes strict=False to safetensors unless its caller says otherwise, and drops the lists of missing and
# unexpected tensors. A renamed layer therefore loads without a word. A subclass that makes strict=True the default of
# _from_pretrained refuses it, and can call eval() itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.3.5 safetensors==0.8.0
cat > "$folder/load.py" <<'PYTHON'
import contextlib
import io
import sys
import warnings

import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import save_file
from torch import nn

warnings.simplefilter("error")


class Two(nn.Module, PyTorchModelHubMixin):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)


saved = Two()
saved.save_pretrained(sys.argv[1])
tensors = {name.replace("second", "later"): value for name, value in saved.state_dict().items()}
save_file(tensors, f"{sys.argv[1]}/model.safetensors")
said = io.StringIO()
with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
    loaded = Two.from_pretrained(sys.argv[1])
assert torch.equal(loaded.first.weight, saved.first.weight)
random = not torch.equal(loaded.second.weight, saved.second.weight)
try:
    Two.from_pretrained(sys.argv[1], strict=True)
    strict = "loaded"
except RuntimeError:
    strict = "refused"
named = "named" if "second" in said.getvalue() or "later" in said.getvalue() else "not named"
print(f"{'random' if random else 'loaded'}, {named}; strict: {strict}; {'training' if loaded.training else 'evaluation'}")
PYTHON
for version in 1.0.0 2.4.0; do
    "$folder/venv/bin/pip" install --quiet "huggingface_hub==$version"
    found=$("$folder/venv/bin/python" "$folder/load.py" "$folder/$version" | tail -1)
    echo "huggingface_hub $version: the renamed layer is $found mode"
    case "$version $found" in
        "1.0.0 random, not named; strict: refused; training") ;;
        "2.4.0 random, not named; strict: refused; evaluation") ;;
        *)
            echo "changed: $version $found" >&2
            exit 1
            ;;
    esac
done
