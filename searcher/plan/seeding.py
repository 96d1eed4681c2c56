"""What a search begins with: ``search.seeds`` as networks that can be its candidates, and why others cannot.

A seed is trained and judged as it is, whether the space has it or not. To strategies it is an observation at
the genotype of the nearest network of the space.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from search_space.architecture.architecture import Architecture
from search_space.architecture.by_name import read_architecture
from search_space.errors import ArchitectureError, MovinasError, SettingsError
from search_space.space.scaled_networks import FAMILY, scaled_published
from searcher.plan.confirmation import confirmed
from searcher.plan.provisional_frontier import provisional_frontier
from searcher.record.records import Records
from searcher.record.seeds import Seed, Seeds
from searcher.strategies.space_domain import SpaceDomain

PUBLISHED = "published"
MOST_PUBLISHED = 6
_SHARE_OF_STARTUP = 3
_KEY = "search.seeds"
_USE = (
    f"give {PUBLISHED}, the folder of a run or of a member, an architecture.json, or an architecture's text"
)


@dataclass(frozen=True, slots=True)
class KnownNetwork:
    """A network that is known before a search.

    Args:
        origin: where it comes from, in a few words.
        architecture: architecture of the network.
    """

    origin: str
    architecture: Architecture


def find_seeds(entries: Sequence[str], domain: SpaceDomain, *, startup: int, inside: bool = False) -> Seeds:
    """Return what a search begins with, in the order of the entries.

    Args:
        entries: entries of ``search.seeds``.
        domain: networks that the search may propose, and its windows.
        startup: number of first proposals; the released family takes at most a third of it.
        inside: whether seeds have to be in the space: a supernet has no others.

    Raises:
        SettingsError: an entry that names networks cannot be read, or none of its networks can be a
            candidate.
    """
    networks: dict[str, Seed] = {}
    left_out: list[str] = []
    for entry in entries:
        known, sentences = usable_networks(entry, domain, startup=startup)
        left_out += sentences
        for network in known:
            exact = domain.space.contains(network.architecture)
            if inside and not exact:
                left_out.append(f"{network.origin}: it is not in the space, and the supernet has no other")
                continue
            design = domain.near(network.architecture)
            if design.digest in networks:
                left_out.append(
                    f"{network.origin}: it is the same network as {networks[design.digest].origin}"
                )
                continue
            networks[design.digest] = Seed(
                genotype=design.genotype,
                exact=exact,
                digest=design.digest,
                architecture=network.architecture.text,
                macs=int(design.cost),
                origin=network.origin,
            )
    return Seeds(tuple(entries), tuple(networks.values()), tuple(left_out))


def usable_networks(entry: str, domain: SpaceDomain, *, startup: int) -> tuple[list[KnownNetwork], list[str]]:
    """Return the networks of an entry that can be candidates, and for the others a sentence why not.

    Args:
        entry: entry of ``search.seeds``.
        domain: networks that the search may propose, and its windows.
        startup: number of first proposals.

    Raises:
        SettingsError: the entry names networks, and they cannot be read, or none of them can be a candidate.
    """
    if entry == PUBLISHED:
        return _published(domain, min(MOST_PUBLISHED, startup // _SHARE_OF_STARTUP))
    usable, left_out = list[KnownNetwork](), list[str]()
    for network in named_networks(entry):
        refusal = domain.refusal(network.architecture)
        if refusal:
            left_out.append(f"{network.origin}: {refusal}")
        else:
            usable.append(network)
    if not usable:
        raise SettingsError(
            f"{_KEY} has {entry!r}, of which no network can be a candidate: {'; '.join(left_out)}",
            hint="take it out, or change the search's space or windows",
        )
    return usable, left_out


def _published(domain: SpaceDomain, count: int) -> tuple[list[KnownNetwork], list[str]]:
    space = domain.space
    found = scaled_published(
        space, count, domain.window, lambda architecture: not domain.refusal(architecture)
    )
    known = [
        KnownNetwork(f"published {network.origin}, scaled by phi {network.phi:.2f}", network.architecture)
        for network in found
    ]
    if found or count == 0:
        return known, []
    family = f"the released networks {FAMILY[0]} to {FAMILY[-1]}"
    if len(space.choices.stages) != 5:
        reason = f"they have 5 stages, and networks of the space have {len(space.choices.stages)}"
    else:
        reason = "no scaling of them on the space's clips lies inside the search's windows"
    return [], [f"{PUBLISHED}: none of {family}: {reason}"]


def named_networks(entry: str) -> list[KnownNetwork]:
    """Return the networks of an entry that is a path or an architecture.

    Args:
        entry: folder of a run or of a member, an ``architecture.json``, a text, or a published name.

    Raises:
        SettingsError: it is none of these, or cannot be read, or a run has measured nothing yet.
    """
    path = Path(entry).expanduser()
    try:
        if path.is_dir():
            networks = list(_of_folder(path))
            if not networks:
                raise SettingsError(
                    f"{_KEY} has {entry!r}, a folder of no run that has measured a network, and of no member",
                    hint=_USE,
                )
            return networks
        if entry.endswith(".json"):
            return list(_of_file(path, entry))
        return [KnownNetwork("given in search.seeds", read_architecture(entry))]
    except SettingsError:
        raise
    except (MovinasError, OSError) as error:
        message = error.message if isinstance(error, MovinasError) else str(error)
        raise SettingsError(f"{_KEY} has {entry!r}, which cannot be used: {message}", hint=_USE) from error


def _of_folder(folder: Path) -> Iterator[KnownNetwork]:
    """Yield the networks of a member, or of a run's frontier and family."""
    if (folder / "architecture.json").is_file():
        yield from _of_file(folder / "architecture.json", str(folder))
    elif (folder / "settings.yaml").is_file():
        records = Records.reading(folder)
        members = [member for member in confirmed(records) if member.on_frontier]
        texts = [member.architecture for member in members] or [
            point.architecture for point in provisional_frontier(records.candidates(), records.objectives)
        ]
        frontier = "confirmed" if members else "provisional"
        for text in texts:
            yield KnownNetwork(f"{frontier} frontier of {folder}", Architecture.parse(text))
        known = set(texts)
        for path in sorted(folder.glob("family/*/architecture.json")):
            for network in _of_file(path, str(path.parent)):
                if network.architecture.text not in known:
                    yield network


def _of_file(path: Path, origin: str) -> Iterator[KnownNetwork]:
    """Yield the network of an ``architecture.json``, or those of an ensemble."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArchitectureError(f"{path} is damaged: {error}", hint="give an architecture.json") from error
    parts = content.get("ensemble", [content]) if isinstance(content, dict) else [content]
    for part in parts:
        yield KnownNetwork(origin, Architecture.from_json(part))


def is_path(entry: str) -> bool:
    """Return whether an entry names a file or a folder, which other machines need not have."""
    if entry == PUBLISHED:
        return False
    try:
        read_architecture(entry)
    except ArchitectureError:
        return True
    return entry.endswith(".json")


def check_same_seeds(records: Records, entries: Sequence[str]) -> None:
    """Check that a search that has begun is resumed with the seeds that it began with.

    Args:
        records: record of the run.
        entries: entries of ``search.seeds`` now; for a record of an older version, the default is none.

    Raises:
        SettingsError: they are others.
    """
    begun = records.seeds
    if begun is not None:
        if tuple(entries) != begun.asked:
            raise SettingsError(
                f"the run {records.name!r} was started with {_KEY} {list(begun.asked)}"
                f" and is now resumed with {list(entries)}",
                hint="restore them, or give this run another name",
            )
    elif records.candidates() and tuple(entries) not in ((), (PUBLISHED,)):
        raise SettingsError(
            f"the run {records.name!r} was started without {_KEY}, by an older version",
            hint=f"set {_KEY} to [], or give this run another name",
        )
