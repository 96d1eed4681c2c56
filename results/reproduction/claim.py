"""A published claim as data: what is claimed, how it is tested, what is stated and what had to be assumed."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from search_space.errors import SettingsError
from search_space.json_files import from_json
from search_space.yaml_document import read_yaml
from searcher.standalone.judged_videos import Views

CostKind = Literal["macs", "memory"]
_HINT = "correct the claim's file"


@dataclass(frozen=True, slots=True)
class ClaimedData:
    """The data that a claim is about.

    Args:
        name: name of the data set, for people.
        format: its format, as ``--data FORMAT:FOLDER`` has it.
        split: split that the claim is measured on.
        videos: number of labelled videos in it, as released.
        outputs: number of outputs: classes, or verbs and nouns together.
        least: share of the videos that has to exist: of some data sets, videos vanish.
    """

    name: str
    format: str
    split: str
    videos: int
    outputs: int
    least: float = 1.0


@dataclass(frozen=True, slots=True)
class ClaimedTraining:
    """The training of a claim whose weights were not released.

    Args:
        recipe: name of the recipe.
        epochs: length of the training.
        initial: initial weights, in words.
    """

    recipe: str
    epochs: int
    initial: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of a paper or a leaderboard.

    Args:
        id: name on the command line.
        title: the claim in a few words.
        source: publication, table or leaderboard.
        claimed: the figure, a fraction.
        decimals: decimals of the figure in per cent, as it was published.
        networks: published names; of several, the logits are averaged.
        metric: name of the figure, as an evaluation has it; for a claim about costs ``macs`` or ``memory``.
        stated: what the source says of how it was measured.
        assumed: what it leaves open, and what is done instead.
        data: data set; None for a claim that needs none.
        clips: shape of each network's clips.
        side: pixels of the short side of frames, for each network.
        views: views of each video.
        stream: whether clips are fed frame by frame.
        training: training, where no weights were released.
        weights: where the weights are to be had, in words.
        margin: points of per cent by which a figure may differ beside rounding: the source rounded a ratio.
    """

    id: str
    title: str
    source: str
    claimed: float
    decimals: int
    networks: tuple[str, ...]
    metric: str
    stated: tuple[str, ...]
    assumed: tuple[str, ...]
    data: ClaimedData | None = None
    clips: tuple[str, ...] = ()
    side: tuple[int, ...] = ()
    views: str = "1x1"
    stream: bool = False
    training: ClaimedTraining | None = None
    weights: str = ""
    margin: float = 0.0

    @property
    def rounding(self) -> float:
        """Half a unit of the last digit that was published, and the margin; a fraction."""
        return 0.5 * 10.0 ** (-self.decimals - 2) + self.margin / 100

    @property
    def needs(self) -> str:
        """What a run of the claim needs, in words."""
        if self.data is None:
            return "nothing but time"
        return f"{self.data.name}, {'initial ' if self.training else ''}weights"

    def text(self) -> str:
        """Return the claimed figure, in per cent."""
        return f"{100 * self.claimed:.{self.decimals}f} %"


def all_claims() -> dict[str, Claim]:
    """Return every claim by its id, in the order of their files."""
    folder = resources.files("results.reproduction").joinpath("claims")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda f: f.name)
    claims = (parse_claim(file.read_text(encoding="utf-8"), file.name) for file in files)
    return {claim.id: claim for claim in claims}


def parse_claim(text: str, source: str) -> Claim:
    """Read a claim's file.

    Raises:
        SettingsError: a key is missing or of the wrong type, or networks and clips are not as many.
    """
    content: dict[str, Any] = read_yaml(text, source).data
    claim = from_json(content, Claim, where=source, error=SettingsError, hint=_HINT)
    Views.parse(claim.views)
    if claim.data is not None and not len(claim.networks) == len(claim.clips) == len(claim.side):
        raise SettingsError(f"{source}: networks, clips and side are not as many", hint=_HINT)
    return claim


def claim_named(name: str) -> Claim:
    """Return a claim by its id.

    Raises:
        SettingsError: there is none; names those that look like it.
    """
    claims = all_claims()
    if name not in claims:
        near = difflib.get_close_matches(name, claims, 3, 0.3) or list(claims)[:3]
        raise SettingsError(
            f"there is no claim {name!r}", hint=f"such as {', '.join(near)}; movinas reproduce lists all"
        )
    return claims[name]
