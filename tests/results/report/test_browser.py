"""The report in a real browser: every plot is drawn, nothing complains, nothing is fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from results.analysis.frontier import frontier
from results.family.family import choose_family
from results.report.plots import wanted_plots
from results.report.report import write_report
from results.report.run_view import Run
from tests.results.synthetic import measured, whole_run

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
    *("--virtual-time-budget=20000", "--window-size=1200,2000", "--dump-dom"),
    # Whatever a page would fetch fails and is complained of.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="there is no chromium"),
]


def opened(page: Path, profile: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's elements after its scripts ran, and what the browser's console says of errors."""
    command = [
        BROWSER,
        *(flag.replace("MAP*", "MAP * ") for flag in FLAGS),
        f"--user-data-dir={profile}",
        *flags,
    ]
    ended = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=500, check=True)
    said = [line for line in ended.stderr.splitlines() if ":CONSOLE" in line]
    # Headless browsers draw WebGL in software, and say so and how slow that is.
    return ended.stdout, [line for line in said if "WebGL" not in line]


def report_of(rows: int) -> Run:
    if not rows:
        measurements = whole_run()
        family = choose_family(frontier(measurements, "confirmation"))
        runs = {"one": measurements, "other": whole_run(1)}
        return Run("small", measurements, family=family, published=True, runs=runs)
    return Run("large", [measured(str(i), (i * 7919 % 1000) / 1000, 1e6 + 37 * i) for i in range(rows)])


@pytest.mark.parametrize("rows", [0, 30_000])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_report_in_a_browser(rows: int, scheme: str, tmp_path: Path) -> None:
    run, page = report_of(rows), tmp_path / "report.html"
    write_report(run, page)
    assert page.stat().st_size < 6_000_000
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    dom, said = opened(page, tmp_path / "profile", *dark)
    assert said == []
    assert "could not be made" not in dom
    for name in wanted_plots(run):
        if rows and name in ("curves", "along"):
            continue  # one rung only, and frontiers of one kind of network
        assert f'id="plot-{name}"' in dom, name
    drawn = set(re.findall(r'id="plot-([\w-]+)" class="plotly-graph-div js-plotly-plot"', dom))
    assert {"frontier", "hypervolume", "hypervolume-time", "survival", "parallel", "importance"} <= drawn
    assert dom.count('class="main-svg"') >= 2 * len(drawn)
    ink = "rgb(230, 233, 238)" if scheme == "dark" else "rgb(31, 41, 51)"
    assert ink in dom


def test_the_check_sees_what_a_page_gets_wrong(tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    page.write_text('<script src="https://example.org/x.js"></script><script>nothing.here()</script>')
    _, said = opened(page, tmp_path / "profile")
    assert any("nothing is not defined" in line for line in said)
