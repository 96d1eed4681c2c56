"""Lists of videos: lines of a path and its labels, or tables with a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from proxy_train.data.formats.listing import Listing
from proxy_train.data.formats.lists.finder import Finder
from proxy_train.data.formats.lists.guess import guessed
from proxy_train.data.formats.lists.labels import CLASSES, Labels
from proxy_train.data.formats.lists.table import Header, Row, Table, headed_rows, number, peel, row_of
from proxy_train.data.formats.request import SPLITS, Column, Request, lines_of, split_of
from proxy_train.data.formats.tree import VIDEOS
from proxy_train.data.formats.video_index import VideoIndex
from proxy_train.video.video import Video
from search_space.errors import DataError

_SUFFIXES = (".txt", ".csv", ".tsv")
_NAMES = rf"({'|'.join(SPLITS)})\.(txt|csv|tsv)"
_TABLES = r".*\.(txt|csv|tsv)"


def matches(request: Request) -> bool:
    """Return whether there is a train.txt or train.csv, whose first line is a header or has a label."""
    return any(_is_list(path) for path in request.find(_NAMES))


def matches_table(request: Request) -> bool:
    """Return whether there is a table of another name with columns for path, label and split.

    Raises:
        DataError: there is one without splits, and folders may be classes as well.
    """
    tables = _tables(request)
    if any("split" in header.roles or split_of(path.name) for path, header in tables):
        return True
    for path, _ in tables:
        if _names_a_video(*first_lines(path, 2)[1:]):
            raise DataError(
                f"{path} has labels of videos, but no splits; folders may be classes as well",
                hint="say which: data.kind, list or folder (list:FOLDER, folder:FOLDER)",
            )
    return False


def may_be_list(path: Path) -> bool:
    """Return whether a file that is not read looks like a list of videos."""
    if path.suffix.lower() not in _SUFFIXES:
        return False
    return split_of(path.name) is not None or Header.of("".join(first_lines(path, 1))) is not None


def read(request: Request) -> Listing:
    """Read ``train.txt``, ``val.txt`` and ``test.txt`` (or ``.csv``), or a table with a column for the split.

    White space or commas stand between path and labels; paths are relative to the root, and may hold both. A
    header names the columns in any order. Where lines have different numbers of labels, the data set is one
    of multiple labels; numbers of frames are told from labels by counting images. ``classes.txt`` names the
    classes.

    Raises:
        DataError: there is no list, a line cannot be read, or its meaning cannot be told; names file, line.
    """
    listing = Listing()
    videos = VideoIndex(request.root, request.frame_rate)
    lists = _chosen(request, listing)
    told = [*lists, *(Path(entry.name) for entry in listing.dropped), *request.find(CLASSES)[:1]]
    finder = Finder(request, videos)
    tables = _read_tables(lists, request, finder)
    if not any(table.rows for table in tables):
        raise DataError(
            f"{request.root}: no train.txt with videos in it", hint="a line is: path label [label ...]"
        )
    finder.survey([row for table in tables for row in table.rows])
    for table in tables:
        listing.note(f"{table.path.name}: {table.reading}")
    labels = Labels.of(request, [row for table in tables for row in table.rows])
    listing.classes, listing.kind = labels.classes, labels.kind
    listing.notes += labels.notes
    refused = _refused(tables, labels)
    for table in tables:
        for row in table.rows:
            split = row.split or table.split
            name = f"{split}:{row.line}:{row.path}"
            if row.where in refused:
                listing.drop(name, refused[row.where])
                continue
            video = finder.video(row)
            if row.labels or (labels.kind == "multi" and split != "test"):
                # Stretches of one folder stay in one split.
                group = row.path if row.frames is not None else ""
                listing.add(video, labels.label(row), name, split, group=group)
            elif split == "test":
                listing.add_unlabelled(video, name, split)
            else:
                listing.drop(name, "no label in its row")
    listing.notes += [*finder.notes(), *_shared(listing)]
    videos.leave_out(listing, "in no list", told)
    return listing


def _refused(tables: Sequence[Table], labels: Labels) -> dict[str, str]:
    """Return the rows of one split that contradict or repeat others, by file and line, with the reason."""
    refused: dict[str, str] = {}
    for table in tables:
        rows: dict[tuple[object, ...], list[Row]] = {}
        for row in table.rows:
            rows.setdefault((row.split or table.split, row.path, row.offset, row.frames), []).append(row)
        for same in (group for group in rows.values() if len(group) > 1):
            lines = ", ".join(str(row.line) for row in same)
            if len({labels.label(row) for row in same if row.labels}) > 1:
                reason = f"lines {lines} of {table.path.name} give it different labels"
                refused |= {row.where: reason for row in same}
            else:
                reason = f"line {same[0].line} of {table.path.name} says the same"
                refused |= {row.where: reason for row in same[1:]}
    return refused


def _shared(listing: Listing) -> list[str]:
    """Return that videos are in several splits, if any are."""
    splits: dict[Video, set[str]] = {}
    for item in listing.items:
        splits.setdefault(item.video, set()).add(item.split)
    several = [str(video.path) for video, names in splits.items() if len(names) > 1]
    return [f"videos in several splits: {len(several)}, such as {several[0]}"] if several else []


def _is_list(path: Path) -> bool:
    lines = [line for _, line in lines_of(path)][:3]
    return bool(lines) and (
        Header.of(lines[0]) is not None or lines[0][-1:].isdigit() or _names_a_video(*lines)
    )


def _names_a_video(*lines: str) -> bool:
    words = (word for line in lines for word in re.split(r"[\s,;\"]+", line))
    return any(Path(word).suffix.lower() in VIDEOS for word in words)


def _tables(request: Request) -> list[tuple[Path, Header]]:
    """Return the tables whose names are no split's, with their headers."""
    found: list[tuple[Path, Header]] = []
    for path in request.find(_TABLES):
        if re.fullmatch(_NAMES, path.name, re.IGNORECASE):
            continue
        header = Header.of("".join(first_lines(path, 1)))
        if header is not None and {"label", "labels"} & {*header.roles}:
            found.append((path, header))
    return found


def first_lines(path: Path, count: int) -> list[str]:
    """Return the first lines of a file that may be a list; nothing of files that are no text."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return list(islice((line.strip() for line in file if line.strip()), count))
    except (OSError, UnicodeDecodeError):
        return []


def _chosen(request: Request, listing: Listing) -> dict[Path, str]:
    """Return the lists that are read, each with its split, and name the others.

    Raises:
        DataError: several lists are as likely.
    """
    named = {path: SPLITS[path.stem.lower()] for path in request.find(_NAMES)}
    others = {path: split_of(path.name) or "" for path, _ in _tables(request)}
    if request.annotations is not None and request.annotations.is_file():
        only = request.annotations
        return {only: SPLITS.get(only.stem.lower(), split_of(only.name) or "")}
    lists = named or others
    chosen: dict[Path, str] = {}
    for split in dict.fromkeys(lists.values()):
        paths = sorted(
            (path for path, of in lists.items() if of == split),
            key=lambda path: _SUFFIXES.index(path.suffix.lower()),
        )
        best = [path for path in paths if path.suffix.lower() == paths[0].suffix.lower()]
        if len(best) > 1:
            raise DataError(
                f"{', '.join(map(str, best))}: several lists of {split or 'all'} videos",
                hint="name the file or the folder that is meant: data.annotations",
            )
        chosen[best[0]] = split
        for path in paths[1:]:
            listing.drop(str(path), f"{best[0].name} is read in its place")
    for path in others.keys() - lists.keys():
        listing.drop(str(path), f"a list beside {', '.join(path.name for path in chosen)}, which are read")
    return dict(
        sorted(chosen.items(), key=lambda entry: (entry[0].suffix.lower() != ".txt", entry[1] != "train"))
    )


def _read_tables(lists: dict[Path, str], request: Request, finder: Finder) -> list[Table]:
    headers = {path: Header.of("".join(first_lines(path, 1))) for path in lists}
    plain = {path: split for path, split in lists.items() if headers[path] is None}
    tables = {table.path: table for table in guessed(plain, finder.count)} if not request.columns else {}
    for path, split in lists.items():
        header = headers[path]
        if header is not None:
            tables[path] = _headed(path, split, header, finder)
        elif request.columns:
            tables[path] = _with_columns(path, split, request.columns)
    for path in lists:
        missing = next((row for row in tables[path].rows if not (row.split or tables[path].split)), None)
        if missing is not None and len(lists) > 1:
            raise DataError(f"{missing.where}: of no split", hint="call the file train, val or test")
    return [tables[path] for path in lists]


def _with_columns(path: Path, split: str, columns: Sequence[Column]) -> Table:
    """Return a list without a header by the columns of the settings."""
    table = Table(path, split, reading=f"{', '.join(columns)}, as data.columns says")
    for at, line in lines_of(path):
        fields = peel(line, columns)
        if fields is None:
            raise DataError(
                f"{path}, line {at}: {line!r}",
                hint=f"data.columns are {', '.join(columns)}: correct one or the other",
            )
        table.rows.append(row_of(f"{path}, line {at}", at, fields, columns))
    return table


def _headed(path: Path, split: str, header: Header, finder: Finder) -> Table:
    """Return a list by its header; where several columns have one meaning, by what is in them."""
    rows = list(headed_rows(path, header))
    roles: list[Column] = list(header.roles)
    fields = [values for _, values in rows]
    paths = [at for at, role in enumerate(roles) if role == "path"]
    if len(paths) > 1:
        found = {at: sum(finder.resolves(row[at]) for row in fields) for at in paths}
        for at in paths:
            if at != max(paths, key=lambda each: (found[each], -each)):
                roles[at] = "-"
    labels = [at for at, role in enumerate(roles) if role == "label"]
    if len(labels) > 1:
        _same_classes(
            path, [header.names[at] for at in labels], [[row[at] for at in labels] for row in fields]
        )
        # Names say more than numbers.
        kept = next(
            (at for at in labels if not all(number(row[at]) is not None for row in fields)), labels[0]
        )
        for at in labels:
            if at != kept:
                roles[at] = "-"
    used = [
        f"{role} from column {name}" for name, role in zip(header.names, roles, strict=True) if role != "-"
    ]
    over = [name for name, role in zip(header.names, roles, strict=True) if role == "-" and name]
    passed = f"; passed over: {', '.join(over)}" if over else ""
    table = Table(path, split, reading=", ".join(used) + passed)
    table.rows = [row_of(f"{path}, line {at}", at, values, roles) for at, values in rows]
    return table


def _same_classes(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Raise DataError unless columns of labels tell the same classes apart."""
    apart = {tuple(row) for row in rows}
    if any(len({row[at] for row in apart}) != len(apart) for at in range(len(names))):
        raise DataError(
            f"{path}: its columns {' and '.join(names)} are different labels",
            hint="leave one of them, or rename the others",
        )
