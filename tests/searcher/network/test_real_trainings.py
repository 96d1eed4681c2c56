"""A search by the command line over hosts that share nothing: networks trained on videos of each host."""

from __future__ import annotations

import shutil
import sys

import pytest

from searcher.record.records import Records
from searcher.settings.settings import Settings
from searcher.testing.domains import TINY_SPACE
from tests.proxy_train.video_files import write_videos
from tests.searcher.network.services import RAY_PORT, site
from tests.searcher.processes import until


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_tiny_networks_are_trained_on_each_host_s_own_videos() -> None:
    videos = [f"{split}/{kind}/{n}.mp4" for split in ("train", "val") for kind in "ab" for n in range(4)]
    with site() as hosts:
        write_videos(hosts.head.disk / "videos", *videos)
        for host in hosts.workers:
            # With the files' times, by which copies are known.
            shutil.copytree(hosts.head.disk / "videos", host.disk / "videos")
        settings = Settings.model_validate(
            {
                "name": "real",
                "output": "/tmp/runs",
                "storage": hosts.url,
                "checkpoints": hosts.checkpoints,
                "data": {"kind": "folder", "root": "/tmp/videos", "cache": "/tmp/videos-cache"},
                "space": TINY_SPACE,
                "search": {
                    "trials": 6,
                    "startup": 4,
                    "rungs": [1, 2],
                    "workers": "auto",
                    "cpus_per_trial": 1,
                },
                "confirmation": {"epochs": 3, "seeds": 2, "members": 2},
                "pilot": False,
            }
        )
        (hosts.head.disk / "settings.yaml").write_text(settings.to_yaml())
        given = ["search", "/tmp/settings.yaml", "--address", f"{hosts.head.address}:{RAY_PORT}"]
        with (hosts.head.disk / "driver.log").open("w") as log:
            driver = hosts.head.start(
                sys.executable, "-m", "movinas", *given, env=hosts.variables, stdout=log, stderr=log
            )

        def measured() -> int:
            return len(Records.reading_from(hosts.side_entrance, "real").measurements())

        until(
            lambda: (hosts.head.disk / "runs" / "real" / "record.json").exists() or driver.poll() is not None
        )
        until(lambda: driver.poll() is not None or measured() >= 3)
        with hosts.workers[0].unplugged(10):
            pass
        assert driver.wait(900) == 0, (hosts.head.disk / "driver.log").read_text()[-5000:]
        records = Records.reading_from(hosts.side_entrance, "real")
        keys = [each.key for each in records.measurements() if each.status == "complete"]
        assert len(records.candidates()) == 6 and len(keys) == len(set(keys)) == len(records.measurements())
        assert len(records.measurements("confirmation")) >= 4
        assert all((host.disk / "videos-cache").is_dir() for host in hosts.workers)
