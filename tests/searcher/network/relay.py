"""A program that puts itself between a host's cable and the switch, delays each packet and loses some.

Usage: relay.py LINK SECONDS LOSS, in the switch's network; it prints ``ready``, and what it has made is gone
when it ends, LINK's place in the bridge excepted
"""

from __future__ import annotations

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

_TUNSETIFF, _TAP_WITHOUT_HEADER = 0x400454CA, 0x0002 | 0x1000
_MOST_BYTES = 65_536


def tap(name: str) -> int:
    """Makes a network device of which this program is the other end."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", name.encode(), _TAP_WITHOUT_HEADER))
    return descriptor


def relay(ends: dict[int, int], seconds: float, loss: float) -> None:
    """Passes packets on, from each end to the other, in order."""
    rng, waiting, count = random.Random(0), list[tuple[float, int, int, bytes]](), 0
    while True:
        pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for end in select.select(list(ends), [], [], pause)[0]:
            try:
                packet = os.read(end, _MOST_BYTES)
            except BlockingIOError:
                continue
            if rng.random() >= loss:
                count += 1
                heapq.heappush(waiting, (time.monotonic() + seconds, count, ends[end], packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, end, packet = heapq.heappop(waiting)
            try:
                os.write(end, packet)
            except OSError:
                continue  # the device is down, or its queue is full: lost


def main() -> None:
    """Plugs itself in and works until it is killed."""
    link, seconds, loss = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    number = link[2:]
    near, far, bridge = f"n-{number}", f"f-{number}", f"b-{number}"
    ends = {tap(near): 0, tap(far): 0}
    one, other = ends
    ends = {one: other, other: one}
    subprocess.run(["ip", "link", "delete", bridge], check=False, stderr=subprocess.DEVNULL)
    commands = [
        f"link add {bridge} type bridge",
        f"link set {link} master {bridge}",
        f"link set {near} master {bridge}",
        f"link set {far} master br0",
        *(f"link set {name} up" for name in (bridge, near, far)),
    ]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    relay(ends, seconds, loss)


if __name__ == "__main__":
    main()
