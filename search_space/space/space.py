"""The search space: a declared set of architectures, and everything a search asks of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from search_space.architecture.architecture import Architecture
from search_space.architecture.parts import ClipShape
from search_space.cost.closed_form import macs
from search_space.errors import SpaceError
from search_space.genes.reading import parse_space, read_document, read_preset
from search_space.genes.settings import SpaceSettings, parse_settings
from search_space.genes.space_genes import Genotype, SpaceChoices
from search_space.genes.stage_genes import Gene
from search_space.sampling import moves
from search_space.sampling.cost_sampler import CostSampler
from search_space.sampling.window_sampler import WindowSampler
from search_space.yaml_document import Document


class SearchSpace:
    """A set of architectures, given by the choices for each of their parts.

    Args:
        settings: the choices, as a space file gives them.

    Attributes:
        settings: the choices, as given.
        classes: outputs of the classifier, for the costs.
        genes: every decision with more than one choice, in the order of a genotype.

    """

    def __init__(self, settings: SpaceSettings) -> None:
        self.settings = settings
        self.classes = settings.classes
        self.choices = SpaceChoices.of(settings)
        self._varying = [i for i, gene in enumerate(self.choices.genes) if gene.choices > 1]
        self.genes: tuple[Gene, ...] = tuple(self.choices.genes[i] for i in self._varying)

    @classmethod
    def from_dict(cls, data: dict[str, Any], source: str = "search space") -> SearchSpace:
        """Return a space from plain dictionaries, lists, strings and numbers.

        Args:
            data: the content of a space file.
            source: the name of the data in messages.

        Raises:
            SpaceError: names the place, the value and the remedy.
        """
        return cls._from_document(Document(source, data, {}))

    @classmethod
    def from_yaml(cls, source: str | Path) -> SearchSpace:
        """Return a space from a YAML file, or a preset by its name.

        Raises:
            SpaceError: no such file or preset, or what is wrong in it: place, value and remedy.
        """
        return cls._from_document(read_document(source))

    @classmethod
    def preset(cls, name: str) -> SearchSpace:
        """Return a preset by its name.

        Raises:
            SpaceError: no preset has that name.
        """
        return cls._from_document(read_preset(name))

    @classmethod
    def _from_document(cls, document: Document) -> SearchSpace:
        space = cls(parse_space(document))
        space._check_budgets(document)
        return space

    def _check_budgets(self, document: Document) -> None:
        for name, budget in self.settings.budgets.items():
            low, high = self.macs_range()
            if not low <= budget <= high:
                remedy = "smaller choices" if budget < low else "larger choices"
                raise SpaceError(
                    f"{document.place(('budgets', name))}: {budget:.4g} multiply-adds cannot be reached",
                    hint=f"the space goes from {low:.4g} to {high:.4g}: give it {remedy}",
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, strings and numbers that :meth:`from_dict` reads."""
        data = self.settings.model_dump(mode="json", exclude_none=True)
        options = self.settings.options
        data["options"] = {name: getattr(options, name) for name in type(options).__slots__}
        return data | {"classes": self.classes}

    def with_classes(self, classes: int) -> SearchSpace:
        """Return the same space with another number of classes in its costs."""
        if classes == self.classes:
            return self
        return SearchSpace(parse_settings(Document(self.name, self.to_dict() | {"classes": classes}, {})))

    def with_clip(self, clip: ClipShape) -> SearchSpace:
        """Return the networks of the space that take clips of one shape, as a space.

        Raises:
            SpaceError: no network of the space takes such clips.
        """
        if clip not in self.clips:
            raise SpaceError(
                f"clips of {clip} are not in the space", hint=f"there are {', '.join(map(str, self.clips))}"
            )
        if len(self.clips) == 1:
            return self
        only = {"input": {"frames": [clip.frames], "size": [clip.size], "fps": [clip.fps]}, "budgets": {}}
        return SearchSpace(parse_settings(Document(self.name, self.to_dict() | only, {})))

    def __reduce__(self) -> tuple[object, ...]:
        return (SearchSpace, (self.settings,))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def name(self) -> str:
        """The name that the settings give."""
        return self.settings.name

    @property
    def clips(self) -> tuple[ClipShape, ...]:
        """The shapes of the clips that the networks take: every frames, size and fps together."""
        choices = self.choices
        return tuple(
            ClipShape(frames, size, fps)
            for frames in choices.frames
            for size in choices.sizes
            for fps in choices.rates
        )

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that tell spaces of different architectures or classes apart."""
        choices = self.choices
        content = {
            "classes": self.classes,
            "options": repr(choices.options),
            "strides": [stage.stride for stage in choices.stages],
            "layers": [
                [list(map(list, s.first.table)), list(map(list, s.rest.table))] for s in choices.stages
            ],
            "slots": [stage.slots for stage in choices.stages],
            "genes": [(gene.name, gene.labels) for gene in choices.genes],
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    # Genotypes

    def decode(self, genotype: Sequence[int]) -> Architecture:
        """Return the architecture of a genotype; genes of layers that its depths leave out are ignored.

        Raises:
            SpaceError: the wrong length, or a value outside a gene's choices.
        """
        return self.choices.decode(self._all_values(genotype))

    def encode(self, architecture: Architecture) -> Genotype:
        """Return the canonical genotype of an architecture: 0 for genes that do not matter.

        Raises:
            SpaceError: the architecture is not in the space; gives the reason.
        """
        return self._genotype(self.choices.encode(architecture))

    def contains(self, architecture: Architecture) -> bool:
        """Return whether the space has the architecture, input and options included."""
        try:
            self.choices.encode(architecture)
        except SpaceError:
            return False
        return True

    def _all_values(self, genotype: Sequence[int]) -> list[int]:
        if len(genotype) != len(self.genes):
            raise SpaceError(
                f"a genotype of {len(genotype)} values", hint=f"this space has {len(self.genes)} genes"
            )
        values = [0] * len(self.choices.genes)
        for place, gene, value in zip(self._varying, self.genes, genotype, strict=True):
            if not 0 <= value < gene.choices:
                raise SpaceError(
                    f"gene {gene.name} has the value {value}", hint=f"it takes 0 to {gene.choices - 1}"
                )
            values[place] = int(value)
        return values

    def _genotype(self, values: Sequence[int]) -> Genotype:
        return tuple(values[place] for place in self._varying)

    # The whole space

    @property
    def cardinality(self) -> int:
        """The exact number of different architectures."""
        return self.choices.count()

    def enumerate(self) -> Iterator[Architecture]:
        """Yield every architecture once; only for small spaces."""
        return map(self.choices.decode, self.choices.enumerate())

    @cached_property
    def window_sampler(self) -> WindowSampler:
        """The sampler of architectures inside a window of costs; made once."""
        return WindowSampler(self.choices, self.classes, self.name)

    def smallest(self) -> Architecture:
        """Return an architecture with the fewest multiply-adds."""
        return self.choices.decode(self.sampler.smallest.genes)

    def largest(self) -> Architecture:
        """Return an architecture with the most multiply-adds."""
        return self.choices.decode(self.sampler.largest.genes)

    def macs_range(self, classes: int | None = None) -> tuple[int, int]:
        """Return the multiply-adds of the smallest and the largest architecture."""
        space = self if classes is None else self.with_classes(classes)
        return space.sampler.smallest.macs, space.sampler.largest.macs

    def macs(self, architecture: Architecture) -> int:
        """Return the multiply-adds of an architecture with this space's classes."""
        return macs(architecture, self.classes)

    # Draws

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Return the architecture of a uniformly random genotype."""
        return self.choices.decode([int(rng.integers(gene.choices)) for gene in self.choices.genes])

    def sample_at(
        self, rng: np.random.Generator, low: float | None = None, high: float | None = None
    ) -> Architecture:
        """Return an architecture inside a window of multiply-adds, its log-cost uniform over the window.

        Args:
            rng: the random generator.
            low: lower end of the window, included; by default the range's.
            high: upper end of the window, included; by default the range's.

        Raises:
            SpaceError: no architecture lies in the window.
        """
        return self.window_sampler.sample(rng, *self.window_sampler.window(low, high))

    def sample_distinct(
        self,
        rng: np.random.Generator,
        count: int,
        low: float | None = None,
        high: float | None = None,
        *,
        exclude: Sequence[Architecture] = (),
    ) -> list[Architecture]:
        """Return different architectures inside a window, as :meth:`sample_at` draws them, none drawn twice.

        A repeat is drawn again from ever more of the window around it, so that a sparse end of the range
        gives all it has before others fill its place.

        Args:
            rng: the random generator.
            count: number of architectures.
            low: lower end of the window, included; by default the range's.
            high: upper end of the window, included; by default the range's.
            exclude: architectures that must not be drawn.

        Returns:
            ``count`` architectures; fewer only if the window seems to hold no more.
        """
        return self.window_sampler.distinct(rng, count, self.window_sampler.window(low, high), exclude)

    def project(
        self, architecture: Architecture, low: float, high: float, rng: np.random.Generator
    ) -> Architecture:
        """Return the architecture if it lies in the window, else one inside it, a few changes away.

        Raises:
            SpaceError: the architecture is not in the space, or the window is empty.
        """
        return self.window_sampler.project(architecture, rng, *self.window_sampler.window(low, high))

    @property
    def sampler(self) -> CostSampler:
        """The distribution of costs, and draws at a cost."""
        return self.window_sampler.sampler

    # Steps

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yield all architectures one change away: of one gene, by one place if its choices are ordered."""
        for values in moves.adjacent(self.choices, self.choices.encode(architecture)):
            yield self.choices.decode(values)

    def mutate(
        self,
        architecture: Architecture,
        rng: np.random.Generator,
        low: float | None = None,
        high: float | None = None,
    ) -> Architecture:
        """Return another architecture, one random gene away; with a window, the nearest inside it.

        Raises:
            SpaceError: the space, or the window, holds no other architecture.
        """
        return self.window_sampler.mutate(architecture, rng, *self.window_sampler.window(low, high))

    def describe(self) -> str:
        """Return a few lines for people: size, range, and the choices of each gene."""
        low, high = self.macs_range()
        lines = [
            f"space {self.name}: {self.cardinality:.3g} architectures, {len(self.genes)} genes, "
            f"{low:.3g} to {high:.3g} multiply-adds, {self.settings.options.form} form"
        ]
        lines += [f"  {gene.name}: {', '.join(gene.labels)}" for gene in self.genes]
        return "\n".join(lines)
