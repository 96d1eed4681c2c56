"""Verdicts, the claims' files, and the costs of the abstract's two claims."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from results.commands.terminal import Terminal
from results.reproduction.claim import all_claims, claim_named, parse_claim
from results.reproduction.costs import TEST_SIZE, counted, measure_macs
from results.reproduction.page import write_page
from results.reproduction.request import Changes, Reproduction
from results.reproduction.run import run_claim
from results.reproduction.verdict import Measured, Verification, judge
from results.reproduction.x3d import SIZE, X3DXL
from search_space.architecture.parts import ClipShape
from search_space.architecture.published import published
from search_space.cost.closed_form import compute_cost
from search_space.errors import SettingsError

CLAIM = claim_named("kinetics600-a0-base")  # 72.28 %


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.71, 0.74, "verified"),
        (0.72284, 0.73, "verified"),  # 72.284 is published as 72.28
        (0.72286, 0.73, "exceeded"),
        (0.70, 0.72276, "verified"),
        (0.70, 0.72274, "not reached"),
    ],
)
def test_verdicts(low: float, high: float, expected: str) -> None:
    measured = Measured((low + high) / 2, low, high)
    assert judge(CLAIM, measured, ()) == expected
    assert judge(CLAIM, measured, ("epochs: 1, and not 240",)) == "not the claim's setting"


def test_a_smaller_setting_is_always_told() -> None:
    claim = claim_named("epic-kitchens-100-a6")
    assert Changes().differences(claim) == ()
    assert Changes(epochs=240, side=None, views="1x1").differences(claim) == ()
    changes = (
        Changes(epochs=239),
        Changes(clip=ClipShape(31, 290, 8)),
        Changes(side=100),
        Changes(views="10x3"),
        Changes(recipe="modern"),
    )
    for change in changes:
        assert len(change.differences(claim)) == 1


def test_claims_are_those_of_the_papers() -> None:
    claims = all_claims()
    assert len(claims) == 23 and all(name == claim.id for name, claim in claims.items())
    base = [claims[f"kinetics600-a{n}-base"].claimed for n in range(6)]
    assert base == [0.7228, 0.7669, 0.7862, 0.8179, 0.8348, 0.8427]
    epic = [claims[f"epic-kitchens-100-a{n}"].claimed for n in (0, 2, 4, 5, 6)]
    assert epic == [0.368, 0.412, 0.444, 0.445, 0.477]
    something = [claims[f"something-something-v2-a{n}"].claimed for n in range(3)]
    assert something == [0.613, 0.627, 0.635]
    for claim in claims.values():
        assert claim.stated and claim.assumed and claim.source
        for network, clip in zip(claim.networks, claim.clips, strict=False):
            assert published(network).with_input(ClipShape.parse(clip)).input.size in (
                172,
                224,
                256,
                290,
                320,
            )


def test_epic_clips_have_the_published_cost() -> None:
    clip = ClipShape.parse(claim_named("epic-kitchens-100-a2").clips[0])
    own = compute_cost(published("A2-base").with_input(clip), 397).macs / 1e9
    assert own == pytest.approx(7.59, rel=0.03)


def test_a_claims_file_is_checked() -> None:
    with pytest.raises(SettingsError, match="has no 'title'"):
        parse_claim("id: x", "x.yaml")


def test_x3d_xl_has_its_published_costs() -> None:
    assert counted(SIZE) / 1e9 == pytest.approx(35.84, abs=0.005)
    assert counted(TEST_SIZE) / 1e9 == pytest.approx(48.4, abs=0.05)
    parameters = sum(parameter.numel() for parameter in X3DXL(400).parameters())
    assert parameters / 1e6 == pytest.approx(11.0, abs=0.1)


@pytest.mark.slow
def test_the_abstracts_flops_are_verified_and_fvcore_agrees() -> None:
    found = measure_macs(Terminal())
    figures = found.figures
    assert figures["A5-stream, closed form"] == figures["A5-stream, fvcore"]
    assert figures["X3D-XL view at 356 px, from its layers"] == figures["X3D-XL view at 356 px, fvcore"]
    assert found.measured.value == pytest.approx(0.82, abs=0.002)
    assert judge(claim_named("abstract-flops"), found.measured, ()) == "verified"
    assert any("times as many multiply-adds" in note for note in found.notes)


@pytest.mark.slow
def test_the_abstracts_memory_holds_without_weights_only(tmp_path: Path) -> None:
    claim = claim_named("abstract-memory")
    verification = run_claim(Reproduction(claim, tmp_path), Terminal())
    assert verification.state == "verified" and verification.measured is not None
    assert verification.figures["saved, weights counted"] < 0.5
    assert any("with the weights counted" in note for note in verification.assumed)
    write_page(claim, verification, tmp_path)
    assert "with the weights counted" in (tmp_path / "verification.html").read_text()


def test_a_verification_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = Verification(CLAIM.id, "verified", 0.7228, Measured(0.72, 0.71, 0.73), cost={"seconds": 1.5})
    written.write(tmp_path)
    assert Verification.read(tmp_path) == written
    content = json.loads((tmp_path / "verification.json").read_text())
    assert content["format"] == "movinas-verification-1"
    assert "72.28 %" in replace(written, missing=("weights",)).text(CLAIM)
