"""The request of a claim's run: what is given, what of it is refused, and what a folder's run was given."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from results.reproduction.claim import Claim
from results.reproduction.verdict import Verification
from search_space.architecture.parts import ClipShape
from search_space.errors import RecordError, SettingsError
from search_space.files import write_json
from search_space.json_files import read_json
from searcher.cluster.machine import require_device
from searcher.standalone.given_network import weights_digest
from searcher.standalone.judged_videos import DataSettings, Views
from searcher.standalone.score_record import HEADER
from searcher.standalone.single_training import CHECKPOINT, Recipe

RUN = "run.json"
_BEGUN = (HEADER, f"*/{HEADER}", f"training/*/{CHECKPOINT}/*")


@dataclass(frozen=True)
class Changes:
    """What a run does otherwise than the claim, to try it out: the verdict names every one of them.

    Args:
        epochs: length of the training.
        clip: shape of all networks' clips.
        side: pixels of the short side of frames.
        views: views of each video.
        recipe: recipe of the training.
    """

    epochs: int | None = None
    clip: ClipShape | None = None
    side: int | None = None
    views: str | None = None
    recipe: str | None = None

    def differences(self, claim: Claim) -> tuple[str, ...]:
        """Return a sentence for each setting that is not the claim's."""
        training = claim.training
        settings = (
            ("epochs", self.epochs, training.epochs if training else None),
            ("recipe", self.recipe, training.recipe if training else None),
            ("clips", self.clip, _each(claim.clips)),
            ("short side", self.side, _each(map(str, claim.side))),
            ("views", self.views, claim.views),
        )
        return tuple(
            f"{name}: {given}, and not {own}"
            for name, given, own in settings
            if given is not None and str(given) != str(own)
        )


@dataclass(frozen=True)
class Reproduction:
    """The run of one claim.

    Args:
        claim: claim to test.
        folder: folder of everything; a run that it holds is resumed.
        data: settings of the data set; None for a claim that needs none.
        weights: weights of each network: those to judge, or the initial ones of the training.
        trained: trained weights or members' folders to judge in place of a training.
        changes: settings that are not the claim's.
        skip_missing: whether the rest is judged on if annotated videos do not exist.
        device: device as torch names it.
        processes: number of processes that train and evaluate.
        address: address of a Ray cluster that evaluates.
        seed: seed of the training.
    """

    claim: Claim
    folder: Path
    data: DataSettings | None = None
    weights: tuple[Path, ...] = ()
    trained: tuple[Path, ...] = ()
    changes: Changes = Changes()
    skip_missing: bool = False
    device: str = "cpu"
    processes: int = 1
    address: str | None = None
    seed: int = 0

    def missing(self) -> tuple[str, ...]:
        """Return what a run needs and was not given."""
        claim = self.claim
        if claim.data is None:
            return ()
        count = len(claim.networks)
        missing = [] if self.data else [f"{claim.data.name}: --data {claim.data.format}:FOLDER"]
        if not claim.training and not self.weights:
            missing.append(claim.weights)
        for option, given in (("--weights", self.weights), ("--trained", self.trained)):
            if given and len(given) != count:
                networks = ", ".join(claim.networks)
                raise SettingsError(
                    f"{len(given)} {option} for {count} networks", hint=f"give one for each: {networks}"
                )
        return tuple(missing)

    def check(self) -> None:
        """Refuse before a training what only the evaluation after it would, and options without effect.

        Raises:
            SettingsError: names the option.
        """
        claim, changes = self.claim, self.changes
        judged = {"clip": changes.clip, "side": changes.side, "views": changes.views, "weights": self.weights}
        trained = {"epochs": changes.epochs, "recipe": changes.recipe}
        idle: dict[str, object] = {}
        if claim.data is None:
            idle |= {"data": self.data, **judged}
        if claim.training is None:
            idle |= {"trained": self.trained, **trained}
        elif self.trained:
            idle |= {"weights": self.weights, **trained}
        useless = [f"--{name}" for name, given in idle.items() if given]
        if useless:
            reason = "--trained" if claim.training and self.trained else claim.id
            raise SettingsError(f"{', '.join(useless)}: of no use for {reason}", hint="leave that out")
        if self.address is None:
            require_device(self.device)
        Views.parse(changes.views or claim.views)
        for clip, own in zip(self.clips(), claim.side, strict=True):
            side = changes.side or own
            if side < clip.size:
                raise SettingsError(
                    f"frames of {side} pixels for clips of {clip.size}",
                    hint="give a --side of the clip's size or more",
                )

    def clips(self) -> tuple[ClipShape, ...]:
        """Return the shape of each network's clips."""
        own = (ClipShape.parse(clip) for clip in self.claim.clips)
        return tuple(self.changes.clip or clip for clip in own)


def _identity(request: Reproduction) -> dict[str, str]:
    """Return what a run depends on, beside what training and evaluation compare themselves."""
    claim, changes = request.claim, request.changes
    recipe = (changes.recipe or claim.training.recipe) if claim.training else ""
    return {
        "claim": claim.id,
        "epochs": str(changes.epochs or (claim.training.epochs if claim.training else 0)),
        "recipe": Recipe.from_yaml(recipe).text() if recipe else "",
        "clips": _each(map(str, request.clips())),
        "short side": str(changes.side or _each(map(str, claim.side))),
        "views": changes.views or claim.views,
        "seed": str(request.seed),
        "weights": " ".join(weights_digest(path) for path in request.weights),
        "trained": " ".join(weights_digest(path) for path in request.trained),
    }


def _is_run(path: Path) -> bool:
    """Return whether a file says what a run is."""
    try:
        return "claim" in read_json(path, dict[str, str], error=RecordError, hint="")
    except RecordError:
        return False


def owns(folder: Path, claim: Claim) -> bool:
    """Return whether a folder holds a run of a claim, finished or not: its files may be written over."""
    with suppress(RecordError):
        if Verification.read(folder).claim == claim.id:
            return True
    with suppress(RecordError):
        return read_json(folder / RUN, dict[str, str], error=RecordError, hint="").get("claim") == claim.id
    return False


def require_same_run(request: Reproduction) -> None:
    """Refuse a folder that holds another run: its weights would be judged as this one's.

    Raises:
        RecordError: names what differs.
    """
    path, here = request.folder / RUN, _identity(request)
    # What failed before it began, as with wrong weights, binds nobody.
    begun = any(next(request.folder.glob(made), None) for made in _BEGUN)
    if path.is_file() and (begun or not _is_run(path)):
        there = read_json(path, dict[str, str], error=RecordError, hint="give another --output")
        different = next((key for key, value in here.items() if there.get(key) != value), None)
        if different is not None:
            raise RecordError(
                f"{request.folder} holds a run with other {different}",
                hint="give another --output, or the same settings",
            )
    write_json(path, here)


def _each(texts: Iterable[str]) -> str:
    return " and ".join(dict.fromkeys(texts))
