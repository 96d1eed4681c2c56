"""The released networks: their costs are the published ones, and each lies in a preset."""

from __future__ import annotations

from pathlib import Path

import pytest

from search_space.architecture.architecture import Architecture
from search_space.architecture.published import PUBLISHED, published
from search_space.cost.closed_form import compute_cost
from search_space.errors import ArchitectureError
from search_space.space.space import SearchSpace

# Parameters (600 classes), giga multiply-adds of the evaluation clip, elements of the stream's state.
FACTS = {
    "T0-base": (1_727_414, 0.871, 0),
    "T0-stream": (2_368_958, 0.835, 326_463),
    "A0-base": (3_111_799, 2.631, 0),
    "A0-stream": (3_748_031, 2.426, 674_208),
    "A1-base": (4_690_296, 5.866, 0),
    "A1-stream": (6_447_352, 5.540, 1_220_585),
    "A2-base": (5_249_562, 11.558, 0),
    "A2-stream": (7_326_962, 10.700, 2_707_115),
    "A3-base": (7_397_545, 55.59, 0),
    "A3-stream": (10_986_618, 52.13, 4_568_947),
    "A4-base": (11_349_463, 103.3, 0),
    "A4-stream": (18_136_182, 96.7, 12_350_175),
    "A5-base": (18_650_523, 276.3, 0),
    "A5-stream": (31_495_934, 261.7, 18_773_511),
}


def test_all_are_there() -> None:
    assert set(PUBLISHED) == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_costs_are_the_published_ones(name: str) -> None:
    parameters, giga_macs, elements = FACTS[name]
    found = compute_cost(PUBLISHED[name])
    assert found.parameters == parameters
    assert found.macs == pytest.approx(giga_macs * 1e9, rel=1e-3)
    assert found.state_bytes == 4 * elements


@pytest.mark.parametrize("name", FACTS)
def test_each_lies_in_a_preset(name: str) -> None:
    space = SearchSpace.preset(name.lower().removesuffix("-base"))
    network = PUBLISHED[name]
    assert space.contains(network)
    assert space.decode(space.encode(network)) == network


def test_only_the_large_stream_networks_encode_the_position() -> None:
    encoded = {name for name, network in PUBLISHED.items() if network.options.position_encoding}
    assert encoded == {"A3-stream", "A4-stream", "A5-stream"}


def test_names_in_any_case_and_base_by_default() -> None:
    assert published("a0") is PUBLISHED["A0-base"]
    assert published(" T0-Stream ") is PUBLISHED["T0-stream"]


@pytest.mark.parametrize("name", ["A6", "", "A0-fast", "B0"])
def test_unknown_names_list_the_known(name: str) -> None:
    with pytest.raises(ArchitectureError, match="A0-base"):
        published(name)


@pytest.mark.parametrize("name", FACTS)
def test_text_forms_in_the_documentation(name: str) -> None:
    page = Path(__file__).parents[3] / "docs" / "search_space.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name} "))
    assert Architecture.parse(line.removeprefix(name)) == PUBLISHED[name]
    assert line.endswith(f" {PUBLISHED[name].text}")
