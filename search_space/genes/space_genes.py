"""The genes of a search space, and the way between genotypes and architectures.

A genotype is flat and of fixed length: every gene always has a value, and those of layers beyond a stage's
depth are ignored. The canonical genotype of an architecture has 0 there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape, Options
from search_space.errors import SpaceError
from search_space.genes.settings import SpaceSettings
from search_space.genes.stage_genes import Gene, StageChoices, listed, stage_choices

Genotype = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SpaceChoices:
    """All genes of a space: the input's, the stem's, each stage's, the head's.

    Attributes:
        frames, sizes, rates, stems, heads, hiddens: ascending.
        stages: the stages, each with its own genes.
        options: options of every architecture.
        genes: all genes in order, those with a single choice too.
        starts: index of each stage's first gene.
    """

    frames: tuple[int, ...]
    sizes: tuple[int, ...]
    rates: tuple[float, ...]
    stems: tuple[int, ...]
    stages: tuple[StageChoices, ...]
    heads: tuple[int, ...]
    hiddens: tuple[int, ...]
    options: Options
    genes: tuple[Gene, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, settings: SpaceSettings) -> SpaceChoices:
        """Work out all genes of a space."""
        clip = settings.input
        frames, sizes, rates = (tuple(sorted(set(c))) for c in (clip.frames, clip.size, clip.fps))
        stages = tuple(stage_choices(i, stage, settings) for i, stage in enumerate(settings.stages))
        stems, heads = (w.choices(settings.width_factor) for w in (settings.stem, settings.head))
        hiddens = settings.hidden.choices()
        genes = [_gene("frames", frames), _gene("size", sizes), _gene("fps", rates), _gene("stem", stems)]
        starts = []
        for stage in stages:
            starts.append(len(genes))
            genes += stage.genes
        genes += [_gene("head", heads), _gene("hidden", hiddens)]
        return cls(
            frames=tuple(map(int, frames)),
            sizes=tuple(map(int, sizes)),
            rates=tuple(map(float, rates)),
            stems=stems,
            stages=stages,
            heads=heads,
            hiddens=hiddens,
            options=settings.options,
            genes=tuple(genes),
            starts=tuple(starts),
        )

    def parts(self, values: Sequence[int]) -> list[Sequence[int]]:
        """Return the values of each stage's genes."""
        return [
            values[start : start + len(stage.genes)]
            for start, stage in zip(self.starts, self.stages, strict=True)
        ]

    def decode(self, values: Sequence[int]) -> Architecture:
        """Return the architecture of a value for every gene."""
        return Architecture(
            stem=self.stems[values[3]],
            stages=tuple(
                stage.decode(part) for stage, part in zip(self.stages, self.parts(values), strict=True)
            ),
            head=self.heads[values[-2]],
            hidden=self.hiddens[values[-1]],
            input=ClipShape(self.frames[values[0]], self.sizes[values[1]], self.rates[values[2]]),
            options=self.options,
        )

    def encode(self, architecture: Architecture) -> list[int]:
        """Return the canonical value of every gene.

        Raises:
            SpaceError: the architecture is not in the space; gives the reason.
        """
        clip = architecture.input
        given = (clip.frames, clip.size, clip.fps, architecture.stem)
        values = [
            _find(gene.name, value, choices)
            for gene, value, choices in zip(
                self.genes, given, (self.frames, self.sizes, self.rates, self.stems), strict=False
            )
        ]
        if len(architecture.stages) != len(self.stages):
            raise SpaceError(
                f"{len(architecture.stages)} stages are not in the space", hint=f"it has {len(self.stages)}"
            )
        for stage, choices in zip(architecture.stages, self.stages, strict=True):
            values += choices.encode(stage)
        values += [
            _find("head", architecture.head, self.heads),
            _find("hidden", architecture.hidden, self.hiddens),
        ]
        if self.decode(values).options != architecture.options:
            raise SpaceError(
                f"options {architecture.options} are not in the space", hint=f"they are {self.options}"
            )
        return values

    def count(self) -> int:
        """Return the number of different architectures."""
        ends = (self.frames, self.sizes, self.rates, self.stems, self.heads, self.hiddens)
        return prod(map(len, ends)) * prod(stage.count() for stage in self.stages)

    def enumerate(self) -> Iterator[list[int]]:
        """Yield the canonical values of every architecture."""
        before = [range(gene.choices) for gene in self.genes[:4]]
        after = [range(gene.choices) for gene in self.genes[-2:]]
        middle = [list(stage.enumerate()) for stage in self.stages]
        for parts in product(product(*before), *middle, product(*after)):
            yield [value for part in parts for value in part]

    def active(self, values: Sequence[int]) -> list[int]:
        """Return the indices of the genes that matter with these values, in order."""
        places = [0, 1, 2, 3]
        for start, stage in zip(self.starts, self.stages, strict=True):
            depth = stage.depths[values[start + 1]]
            places += sorted(start + place for place in stage.active(depth))
        return [*places, len(self.genes) - 2, len(self.genes) - 1]

    def filled(self, values: Sequence[int]) -> list[int]:
        """Return the canonical values with every inactive gene set to that of the stage's last layer."""
        result = list(values)
        for start, stage, part in zip(self.starts, self.stages, self.parts(values), strict=True):
            result[start : start + len(part)] = stage.filled(list(part))
        return result


def _gene(name: str, choices: Sequence[float]) -> Gene:
    return Gene(
        name, tuple(f"{choice:g}" if isinstance(choice, float) else str(choice) for choice in choices)
    )


def _find(what: str, value: object, choices: Sequence[object]) -> int:
    if value not in choices:
        raise SpaceError(f"{what} {value} is not in the space", hint=f"there are {listed(choices)}")
    return choices.index(value)
