#!/usr/bin/env bash
# Typer 0.29.2 with Rich 15.0.0: words in square brackets vanish from the help of a command.
#
# Where Rich is installed, help texts are taken for Rich's markup, also if the application never asked for it
# (rich_markup_mode has a default). "Size [default: the network's own]." is shown as "Size ." and "[a, b]" is gone;
# there is no error and no warning. rich_markup_mode=None shows the text as it was written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet typer==0.29.2 rich==15.0.0
cat > "$folder/app.py" <<'PYTHON'
import sys
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, **({"rich_markup_mode": None} if sys.argv.pop(1) == "plain" else {}))


@app.command()
def main(size: Annotated[int, typer.Option(help="Size [default: the network's own].")] = 0) -> None:
    """Cut [first, last] out of a clip."""


app()
PYTHON
marked=$(COLUMNS=100 "$folder/venv/bin/python" "$folder/app.py" markup --help)
plain=$(COLUMNS=100 "$folder/venv/bin/python" "$folder/app.py" plain --help)
echo "$marked"
if grep -q "network's own" <<< "$marked" || grep -q "first, last" <<< "$marked"; then
    echo "changed: the words in brackets are shown" >&2
    exit 1
fi
grep -q "network's own" <<< "$plain" && grep -q "first, last" <<< "$plain"
echo "seen: words in brackets vanish from a help text, unless rich_markup_mode is None"
