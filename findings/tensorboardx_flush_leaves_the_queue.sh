#!/usr/bin/env bash
# tensorboardX 2.6.5: SummaryWriter.flush() returns while points are still in memory.
#
# Its documentation says that flush writes all pending events to disk. Points go through a queue to a thread of the
# writer, though, and flush only flushes the file below it. A process that ends at once afterwards, as a killed one
# does, loses points that it has flushed; close() does wait for them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorboardX==2.6.5
cat > "$folder/write.py" <<'PYTHON'
import os
import sys

from tensorboardX import SummaryWriter

writer = SummaryWriter(sys.argv[1])
for step in range(200):
    writer.add_scalar("loss", step / 200, step)
writer.close() if sys.argv[2] == "close" else writer.flush()
os._exit(0)
PYTHON
cat > "$folder/count.py" <<'PYTHON'
import glob
import sys

from tensorboardX.proto.event_pb2 import Event

points = 0
for name in glob.glob(sys.argv[1] + "/events.out.*"):
    data, at = open(name, "rb").read(), 0
    while at + 12 < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        points += len(Event.FromString(data[at + 12 : at + 12 + length]).summary.value)
        at += 16 + length
print(points)
PYTHON
for end in flush close; do
    least=200
    for attempt in 1 2 3 4 5; do
        "$folder/venv/bin/python" "$folder/write.py" "$folder/$end$attempt" "$end"
        points=$("$folder/venv/bin/python" "$folder/count.py" "$folder/$end$attempt")
        if [ "$points" -lt "$least" ]; then least=$points; fi
    done
    echo "after $end and an end at once: at least $least of 200 points are in the file"
    printf -v "$end" '%s' "$least"
done
if [ "$flush" -ge 200 ] || [ "$close" -ne 200 ]; then
    echo "changed: flush writes all points, or close does not" >&2
    exit 1
fi
