"""The page of a verdict: claimed, measured, what differs, what was assumed, and what it took."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from results import units
from results.report.page import Section, page
from results.reproduction.claim import Claim
from results.reproduction.verdict import Verification, measured_text
from search_space.files import write_text

FILE = "verification.html"


def write_page(claim: Claim, verification: Verification, folder: Path) -> Path:
    """Write ``verification.html``, which needs no other file but the pictures beside it."""
    rows = [
        ("claim", claim.title),
        ("source", claim.source),
        ("claimed", claim.text()),
        ("measured", measured_text(verification.measured)),
        ("verdict", verification.state),
    ]
    sections = [Section("verdict", "Verdict", _table(rows))]
    for identity, title, entries in (
        ("missing", "What is missing", verification.missing),
        ("differences", "What differs from the claim's setting", verification.differences),
        ("stated", "What the source states", verification.stated),
        ("assumed", "What had to be assumed", verification.assumed),
    ):
        if entries:
            sections.append(Section(identity, title, _list(entries)))
    if verification.figures:
        figures = [(name, _figure(claim, name, value)) for name, value in verification.figures.items()]
        sections.append(Section("figures", "All figures", _table(figures)))
    sections += [
        Section("network", network.get("name", "Network"), _table(network.items()))
        for network in verification.networks
    ]
    pictures = sorted(folder.glob("*confusion.png"))
    if pictures and verification.measured is not None:
        images = "".join(
            f'<img src="{html.escape(p.name)}" alt="Confusion" style="max-width:100%">' for p in pictures
        )
        sections.append(Section("confusion", "Confusion", images))
    took = {**verification.cost, **verification.hardware, **verification.versions}
    if took:
        sections.append(Section("took", "What it took", _table(took.items())))
    body = page(
        claim.title, f"claimed {claim.text()}: {verification.state}", sections, "movinas reproduce", ""
    )
    write_text(folder / FILE, body)
    return folder / FILE


def _figure(claim: Claim, name: str, value: float) -> str:
    if claim.data is not None:
        return f"{value:.4f}" if name == "loss" else f"{100 * value:.2f} %"
    if abs(value) < 1:
        return f"{100 * value:.1f} %"
    if value < 1000:
        return f"{value:.2f}"
    return units.size(int(value)) if claim.metric == "memory" else units.count(value)


def _list(entries: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(entry)}</li>" for entry in entries) + "</ul>"


def _table(rows: Iterable[tuple[str, Any]] | Mapping[str, Any]) -> str:
    pairs = rows.items() if isinstance(rows, Mapping) else rows
    body = "".join(f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>" for k, v in pairs)
    return f"<table>{body}</table>"
