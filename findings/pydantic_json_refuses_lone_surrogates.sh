#!/usr/bin/env bash
# pydantic 2.14.3: JSON that Python's json module wrote of a file's name is refused by validate_json.
#
# os.fsdecode turns bytes of a file name that are no UTF-8 into lone surrogates, json.dumps writes them as \udcff, and
# json.loads reads them back. TypeAdapter(str).validate_json calls the same text invalid JSON; validate_python takes
# the string. A file of names can so be written and read by json, and not read by pydantic.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pydantic==2.14.3
"$folder/venv/bin/python" - <<'PYTHON'
import json
import os

from pydantic import TypeAdapter, ValidationError

name = os.fsdecode(b"clip-\xff.mp4")
text = json.dumps(name)
assert json.loads(text) == name
assert TypeAdapter(str).validate_python(name) == name
try:
    TypeAdapter(str).validate_json(text)
except ValidationError as error:
    print("json reads", ascii(text), "and pydantic says:", error.errors()[0]["msg"])
else:
    raise SystemExit("changed: pydantic reads the name")
PYTHON
