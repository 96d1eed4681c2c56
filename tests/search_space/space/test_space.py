"""Search spaces: genotypes, canonical equality, counting, neighbours and mutation."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_space.architecture.parts import Kernel
from search_space.architecture.published import PUBLISHED
from search_space.errors import SpaceError
from search_space.genes.reading import preset_names
from search_space.space.space import SearchSpace

Tiny = Callable[..., SearchSpace]
_SPACES = {name: SearchSpace.preset(name) for name in ("quickstart", "a0", "a2-stream")}


def genotypes(space: SearchSpace) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(0, gene.choices - 1) for gene in space.genes))


@pytest.mark.parametrize("name", _SPACES)
@given(data=st.data())
def test_encode_and_decode_are_inverse(name: str, data: st.DataObject) -> None:
    space = _SPACES[name]
    genotype = data.draw(genotypes(space))
    network = space.decode(genotype)
    canonical = space.encode(network)
    assert space.decode(canonical) == network
    assert space.encode(space.decode(canonical)) == canonical
    assert len(canonical) == len(space.genes)
    assert all(value in (0, given) for value, given in zip(canonical, genotype, strict=True))
    assert space.contains(network)


@pytest.mark.parametrize("name", _SPACES)
@given(data=st.data())
def test_inactive_genes_do_not_matter(name: str, data: st.DataObject) -> None:
    space = _SPACES[name]
    one, other = data.draw(genotypes(space)), data.draw(genotypes(space))
    network = space.decode(one)
    active = set(space.choices.active(space._all_values(one)))
    mixed = [a if space._varying[i] in active else b for i, (a, b) in enumerate(zip(one, other, strict=True))]
    assert space.decode(mixed) == network
    assert space.decode(mixed).digest == network.digest
    assert space.encode(space.decode(mixed)) == space.encode(network)


@pytest.mark.parametrize("name", _SPACES)
@given(data=st.data())
def test_active_genes_do_matter(name: str, data: st.DataObject) -> None:
    space = _SPACES[name]
    genotype = list(data.draw(genotypes(space)))
    active = [
        i
        for i, place in enumerate(space._varying)
        if place in space.choices.active(space._all_values(genotype))
    ]
    at = data.draw(st.sampled_from(active))
    changed = genotype.copy()
    changed[at] = (changed[at] + 1) % space.genes[at].choices
    assert space.decode(changed) != space.decode(genotype)


@pytest.mark.parametrize("name", _SPACES)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_steps_stay_inside(name: str, data: st.DataObject, seed: int) -> None:
    space, rng = _SPACES[name], np.random.default_rng(seed)
    one = space.decode(data.draw(genotypes(space)))
    mutant = space.mutate(one, rng)
    assert mutant != one
    assert space.contains(mutant)
    for network in (mutant, space.sample(rng), space.sample_at(rng)):
        assert space.decode(space.encode(network)) == network


def test_cardinality_is_that_of_the_list(tiny: Tiny) -> None:
    space = tiny()
    listed = list(space.enumerate())
    assert len(listed) == len(set(listed)) == len({a.digest for a in listed}) == space.cardinality
    # 4 clips, 2 heads; stage 0: 2 widths of 3 multipliers, 2 first kernels, 2 expansions, depth 1 or 3 with
    # 2 kernels for the rest; stage 1: 2 widths, one layer of 4 kinds, or two.
    assert space.cardinality == 4 * 2 * (2 * (4 + 8)) * (2 * (4 + 16))


def test_every_genotype_decodes_into_the_list(tiny: Tiny) -> None:
    space = tiny()
    listed = set(space.enumerate())
    shape = [gene.choices for gene in space.genes]
    assert {space.decode(genotype) for genotype in np.ndindex(*shape)} == listed


def test_multipliers_that_round_to_one_width_are_one_choice(tiny: Tiny) -> None:
    # 8 x 1.25 is 10, which rounds to 8.
    gene = next(gene for gene in tiny().genes if gene.name == "stage0.width")
    assert gene.labels == ("8", "16")


def test_squeeze_excitation_switched_off_everywhere_is_one_network(tiny: Tiny) -> None:
    space = tiny(stages=[tiny().to_dict()["stages"][1]])
    bare = [network for network in space.enumerate() if network.options.squeeze == "none"]
    assert bare
    assert len(bare) == len({network.digest for network in bare})
    assert all(space.contains(network) for network in bare)


def test_neighbours_are_one_step_away(tiny: Tiny) -> None:
    space = tiny()
    network = space.smallest()
    around = list(space.neighbours(network))
    assert len(around) == len(set(around))
    assert network not in around
    for other in around:
        assert space.contains(other)
        assert network in set(space.neighbours(other)) or len(network.layers) != len(other.layers)


def test_neighbours_connect_the_whole_space(tiny: Tiny) -> None:
    space = tiny()
    seen = front = {space.smallest()}
    while front:
        front = {other for network in front for other in space.neighbours(network)} - seen
        seen = seen | front
    assert len(seen) == space.cardinality


def test_a_new_layer_begins_as_its_neighbour() -> None:
    space = SearchSpace.preset("a2")
    network = PUBLISHED["A2-base"]
    deeper = [n for n in space.neighbours(network) if len(n.layers) > len(network.layers)]
    assert len(deeper) == 5
    for other in deeper:
        stage = next(
            after for before, after in zip(network.stages, other.stages, strict=True) if before != after
        )
        assert stage.layers[-1] == stage.layers[-2]


def test_mutation_into_a_window() -> None:
    space, rng = SearchSpace.preset("quickstart"), np.random.default_rng(0)
    network = space.sample_at(rng, 5e6, 6e6)
    for _ in range(50):
        other = space.mutate(network, rng, 5e6, 6e6)
        assert other != network
        assert 5e6 <= space.macs(other) <= 6e6
        network = other


def test_a_space_of_one_cannot_mutate(tiny: Tiny) -> None:
    one = {"width": 16, "stride": 2, "depth": 1, "kernel": "3x3x3", "expansion": {"ratios": 2}}
    space = tiny(input={"frames": 2, "size": 16, "fps": 4}, stages=[one], head=16)
    assert space.cardinality == 1
    assert space.genes == ()
    assert space.decode(()) == space.smallest() == space.largest() == space.sample(np.random.default_rng())
    with pytest.raises(SpaceError, match="one architecture"):
        space.mutate(space.smallest(), np.random.default_rng())


@pytest.mark.parametrize("name", ["A0-stream", "A1-base", "T0-base"])
def test_what_is_not_in_the_space_is_refused_with_the_reason(name: str) -> None:
    space = SearchSpace.preset("a0")
    network = PUBLISHED[name]
    assert not space.contains(network)
    with pytest.raises(SpaceError, match="not in the space"):
        space.encode(network)


def test_layers_that_differ_where_they_share_genes_are_refused(tiny: Tiny) -> None:
    space = tiny()
    network = space.largest()
    first, second, third = network.stages[0].layers
    other = replace(third, kernel=Kernel(1, 3))
    assert other != second
    stage = replace(network.stages[0], layers=(first, second, other))
    different = replace(network, stages=(stage, network.stages[1]))
    with pytest.raises(SpaceError, match="share"):
        space.encode(different)


@pytest.mark.parametrize("genotype", [(), (0,) * 100, (9,) * 11])
def test_wrong_genotypes_are_refused(tiny: Tiny, genotype: tuple[int, ...]) -> None:
    with pytest.raises(SpaceError, match=r"genotype|gene"):
        tiny().decode(genotype)


@pytest.mark.parametrize("name", preset_names())
def test_dictionary_and_pickle_round_trip(name: str) -> None:
    space = SearchSpace.preset(name).with_classes(11)
    again = SearchSpace.from_dict(space.to_dict())
    copied = pickle.loads(pickle.dumps(space))
    assert again == copied == space
    assert again.digest == copied.digest
    assert again.classes == copied.classes == 11
    assert again.genes == space.genes
    assert space != SearchSpace.preset(name)


def test_describe_names_every_gene() -> None:
    text = SearchSpace.preset("quickstart").describe()
    assert "quickstart" in text
    assert all(gene.name in text for gene in SearchSpace.preset("quickstart").genes)


def test_importing_the_space_does_not_import_torch() -> None:
    code = (
        "import sys; import search_space.space.space, search_space.genes.reading;"
        "import search_space.architecture.scaling;"
        "import search_space.space.profile; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
