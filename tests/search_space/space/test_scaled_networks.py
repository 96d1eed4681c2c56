"""The released family scaled into a space's window, and the nearest network of a space to any network."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import log

import numpy as np
import pytest

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape, Layer
from search_space.architecture.published import PUBLISHED
from search_space.cost.closed_form import macs
from search_space.errors import SpaceError
from search_space.genes.reading import preset_names
from search_space.space.nearest import nearest_in_space
from search_space.space.scaled_networks import nearest_clip, scaled_published, scalings
from search_space.space.space import SearchSpace

SPACES = {name: SearchSpace.preset(name).with_classes(16) for name in preset_names()}


def any_of(_: Architecture) -> bool:
    return True


@pytest.mark.parametrize("name", SPACES)
def test_the_family_is_scaled_over_the_whole_window(name: str) -> None:
    space = SPACES[name]
    low, high = space.macs_range()
    found = scaled_published(space, 6, (low, high), any_of)
    assert len(found) == 6
    for network in found:
        assert low <= network.macs == macs(network.architecture, 16) <= high
        assert network.architecture.input in space.clips
        assert network.architecture.options == space.settings.options
    steps = [log(after.macs / before.macs) for before, after in pairwise(found)]
    assert min(steps) > 0 and max(steps) < 5 * min(steps), "about even in log cost"
    assert found == scaled_published(space, 6, (low, high), any_of)


def test_a_network_is_scaled_from_the_released_one_of_its_cost() -> None:
    space = SPACES["a3"]
    own = {
        name: macs(PUBLISHED[f"{name}-base"].with_input(space.clips[0]), 16)
        for name in ("A0", "A1", "A2", "A3", "A4", "A5")
    }
    for network in scaled_published(space, 6, space.macs_range(), any_of):
        assert network.origin == min(own, key=lambda name: abs(log(own[name] / network.macs)))
    at_a3 = scaled_published(space, 1, (0.99 * own["A3"], 1.01 * own["A3"]), any_of)
    assert [(each.origin, each.architecture) for each in at_a3] == [
        ("A3", PUBLISHED["A3-base"].with_input(space.clips[0]))
    ]


def test_nothing_is_returned_that_is_not_allowed_or_out_of_reach() -> None:
    space = SPACES["a0"]
    low, high = space.macs_range()
    narrow = scaled_published(space, 6, (low, high), lambda network: len(network.layers) < 20)
    assert narrow and all(len(each.architecture.layers) < 20 for each in narrow)
    assert scaled_published(space, 6, (low, high), lambda _: False) == []
    assert scaled_published(space, 0, (low, high), any_of) == []
    assert scaled_published(space, 6, (1.0, 2.0), any_of) == []


def test_scalings_keep_to_the_clips() -> None:
    clips = (ClipShape(8, 32, 4), ClipShape(16, 64, 8))
    taken = [network.architecture.input for network in scalings(PUBLISHED["A2-base"], 16, clips)]
    assert set(taken) <= set(clips)
    assert nearest_clip(ClipShape(50, 224, 5), clips) == clips[1]
    assert nearest_clip(ClipShape(7, 30, 4), clips) == clips[0]
    assert nearest_clip(ClipShape(50, 224, 5), ()) == ClipShape(50, 224, 5)


@pytest.mark.parametrize("name", SPACES)
def test_a_network_of_the_space_is_nearest_to_itself(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(0)
    for _ in range(5):
        network = space.sample_at(rng)
        assert nearest_in_space(space, network) is network


@pytest.mark.parametrize("name", ["quickstart", "a0-stream", "t0", "a2"])
def test_a_slight_change_leads_back_to_where_it_was_made(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(1)
    for _ in range(5):
        network = space.sample_at(rng)
        first, last = network.stages[0], network.stages[0].layers[-1]
        layers = (*first.layers[:-1], Layer(last.kernel, last.expansion + 1, last.squeeze))
        stages = (replace(first, layers=layers), *network.stages[1:])
        changed = replace(network, stages=stages, head=network.head + 1)
        assert not space.contains(changed)
        assert nearest_in_space(space, changed) == network


@pytest.mark.parametrize("name", ["quickstart", "a0", "a0-stream", "a2"])
def test_the_nearest_network_costs_about_as_much(name: str) -> None:
    space = SPACES[name]
    low, high = space.macs_range()
    for scaled in scaled_published(space, 4, (2 * low, high / 2), any_of):
        nearest = nearest_in_space(space, scaled.architecture)
        assert space.contains(nearest)
        assert nearest.input == scaled.architecture.input
        assert abs(log(space.macs(nearest) / scaled.macs)) < 0.16


def test_a_network_of_other_clips_or_stages_has_no_nearest() -> None:
    space = SPACES["a0"]
    network = space.smallest()
    with pytest.raises(SpaceError, match="clips of 7x172x5"):
        nearest_in_space(space, network.with_input(ClipShape(7, 172, 5)))
    with pytest.raises(SpaceError, match="network of 4 stages"):
        nearest_in_space(space, replace(network, stages=network.stages[1:]))
