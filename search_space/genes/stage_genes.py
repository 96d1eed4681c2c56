"""The genes of one stage: the choices of its layers, and the way between values of genes and a Stage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from search_space.architecture.parts import Kernel, Layer, Stage
from search_space.errors import SpaceError
from search_space.genes.settings import FirstLayerSettings, SpaceSettings, StageSettings


@dataclass(frozen=True, slots=True)
class Gene:
    """One decision.

    Attributes:
        name: name of the gene, such as ``stage2.kernel``, ``stage0.layer3.expansion``,
            ``stage1.first.kernel``, ``size``.
        labels: the choices as text; a genotype holds positions among them.
        ordered: whether the labels go from small to large.
    """

    name: str
    labels: tuple[str, ...]
    ordered: bool = True

    @property
    def choices(self) -> int:
        """The number of choices."""
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class LayerChoices:
    """The choices of a layer's kernel, expansion and squeeze, and every combination as a ready Layer."""

    kernels: tuple[Kernel, ...]
    expansions: tuple[int, ...]
    squeezes: tuple[bool, ...]
    table: tuple[tuple[tuple[Layer, ...], ...], ...]

    @classmethod
    def of(cls, kernels: Sequence[str], expansions: Sequence[int], squeezes: Sequence[bool]) -> LayerChoices:
        """Return the choices sorted, without repeats."""
        kept = sorted({Kernel.parse(text) for text in kernels}, key=lambda k: (k.time * k.space**2, k))
        wide, gates = tuple(sorted(set(expansions))), tuple(sorted(set(squeezes)))
        table = tuple(
            tuple(tuple(Layer(kernel, width, gate) for gate in gates) for width in wide) for kernel in kept
        )
        return cls(tuple(kept), wide, gates, table)

    @property
    def fields(self) -> tuple[tuple[object, ...], ...]:
        """The three lists of choices, in the order of a slot."""
        return (self.kernels, self.expansions, self.squeezes)

    def find(self, layer: Layer, where: str) -> tuple[int, int, int]:
        """Return the positions of a layer's kernel, expansion and squeeze among the choices.

        Raises:
            SpaceError: one of them is no choice here.
        """
        values = (layer.kernel, layer.expansion, layer.squeeze)
        positions = []
        for what, value, choices in zip(("kernel", "expansion", "squeeze"), values, self.fields, strict=True):
            if value not in choices:
                raise SpaceError(
                    f"{where}: {what} {value} is not in the space", hint=f"there are {listed(choices)}"
                )
            positions.append(choices.index(value))
        return positions[0], positions[1], positions[2]


@dataclass(frozen=True, slots=True)
class StageChoices:
    """One stage's genes: its width at 0, its depth at 1, then those of its layers.

    Attributes:
        index: number of the stage.
        widths, depths: ascending.
        stride: spatial stride of the first layer.
        first, rest: choices of the first layer and of the others.
        slots: indices of the kernel, expansion and squeeze genes of each layer position. Layers that share a
            gene share its index.
        genes: the genes in order.
        layerwise: whether every layer has genes of its own.
    """

    index: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    stride: int
    first: LayerChoices
    rest: LayerChoices
    slots: tuple[tuple[int, int, int], ...]
    genes: tuple[Gene, ...]
    layerwise: bool

    def active(self, depth: int) -> set[int]:
        """Return the indices of the genes that matter at a depth (in layers)."""
        return {0, 1, *(place for slot in self.slots[:depth] for place in slot)}

    def count(self) -> int:
        """Return the number of different stages, widths included."""
        ways = sum(
            prod(self.genes[place].choices for place in self.active(depth) if place > 1)
            for depth in self.depths
        )
        return len(self.widths) * ways

    def enumerate(self) -> Iterator[list[int]]:
        """Yield the canonical values of every stage."""
        for width, depth in product(range(len(self.widths)), range(len(self.depths))):
            places = sorted(self.active(self.depths[depth]) - {0, 1})
            for values in product(*(range(self.genes[place].choices) for place in places)):
                result = [width, depth] + [0] * (len(self.genes) - 2)
                for place, value in zip(places, values, strict=True):
                    result[place] = value
                yield result

    def decode(self, genes: Sequence[int]) -> Stage:
        """Return the stage of a value for every gene."""
        table, layers = self.first.table, []
        for kernel, expansion, squeeze in self.slots[: self.depths[genes[1]]]:
            layers.append(table[genes[kernel]][genes[expansion]][genes[squeeze]])
            table = self.rest.table
        return Stage(self.widths[genes[0]], self.stride, tuple(layers))

    def encode(self, stage: Stage) -> list[int]:
        """Return the canonical value of every gene.

        Raises:
            SpaceError: the stage is not in the space; gives the reason.
        """
        where, depth = f"stage {self.index}", len(stage.layers)
        for what, value, choices in (("width", stage.width, self.widths), ("depth", depth, self.depths)):
            if value not in choices:
                raise SpaceError(
                    f"{where}: {what} {value} is not in the space", hint=f"there are {listed(choices)}"
                )
        if stage.stride != self.stride:
            raise SpaceError(
                f"{where}: stride {stage.stride} is not in the space", hint=f"it is {self.stride}"
            )
        values = [0] * len(self.genes)
        values[0], values[1] = self.widths.index(stage.width), self.depths.index(depth)
        written: set[int] = set()
        for j, (layer, slot) in enumerate(zip(stage.layers, self.slots, strict=False)):
            positions = (self.rest if j else self.first).find(layer, f"{where}, layer {j}")
            for place, value in zip(slot, positions, strict=True):
                if place in written and values[place] != value:
                    raise SpaceError(
                        f"{where}, layer {j}: differs from the layers before it in {self.genes[place].name}",
                        hint="the layers of this stage share that choice; granularity: layer would free it",
                    )
                values[place] = value
                written.add(place)
        return values

    def filled(self, values: list[int]) -> list[int]:
        """Return the stage with its last layer in the inactive genes: more depth is then a small step."""
        depth = self.depths[values[1]]
        active = self.active(depth)
        result = list(values)
        last = self.slots[depth - 1]
        source = (self.rest if depth > 1 else self.first).fields
        for slot in self.slots[depth:]:
            for field, place in enumerate(slot):
                if place not in active:
                    wanted, choices = source[field][values[last[field]]], self.rest.fields[field]
                    result[place] = choices.index(wanted) if wanted in choices else 0
        return result


def listed(choices: Sequence[object]) -> str:
    """Return choices as text, for a message."""
    return ", ".join(map(str, choices))


def stage_choices(index: int, settings: StageSettings, space: SpaceSettings) -> StageChoices:
    """Return one stage's choices, with its genes."""
    base = settings.base_width(space.width_factor)
    widths = settings.width.choices(space.width_factor)
    rest = LayerChoices.of(settings.kernel, settings.expansion.choices(base), settings.squeeze)
    own = settings.first or FirstLayerSettings()
    first = LayerChoices.of(
        own.kernel or settings.kernel,
        (own.expansion or settings.expansion).choices(base),
        own.squeeze or settings.squeeze,
    )
    depths = tuple(sorted(set(settings.depth)))
    genes = [
        Gene(f"stage{index}.width", tuple(map(str, widths))),
        Gene(f"stage{index}.depth", tuple(map(str, depths))),
    ]

    def place(name: str, field: int, choices: LayerChoices) -> int:
        words = ("kernel", "expansion", "squeeze")
        genes.append(
            Gene(f"stage{index}.{name}{words[field]}", tuple(map(str, choices.fields[field])), field > 0)
        )
        return len(genes) - 1

    slots: list[tuple[int, ...]] = []
    layerwise = (settings.granularity or space.granularity) == "layer"
    if layerwise:
        for j in range(depths[-1]):
            slots.append(tuple(place(f"layer{j}.", field, rest if j else first) for field in range(3)))
    else:
        shared = tuple(place("", field, rest) for field in range(3))
        given = (own.kernel, own.expansion, own.squeeze)
        start = tuple(
            shared[field] if given[field] is None else place("first.", field, first) for field in range(3)
        )
        slots = [start] + [shared] * (depths[-1] - 1)
    return StageChoices(
        index=index,
        widths=widths,
        depths=depths,
        stride=settings.stride,
        first=first,
        rest=rest,
        slots=tuple((a, b, c) for a, b, c in slots),
        genes=tuple(genes),
        layerwise=layerwise,
    )
