"""What lies in a folder of incoming data: files one by one, and files that belong together as one.

Text files in folders by class are one entry, which has a new digest when a text is added to it; so are many files of a
folder that are not tables, which would otherwise be refused one by one.
"""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import chain, groupby
from pathlib import Path

from ..base.errors import on_one_line
from ..base.files import sha256
from ..data.readers.class_folders import texts_by_class
from ..data.readers.formats import FORMATS, TEXT, extension, listed_names, shown_name, visible_files
from ..data.readers.text_tables import is_table_file
from ..data.settings import NO_FILE
from ..data.tables import SPLITS

FEW = 10  # files of a folder that are not tables: more of them are one entry


@dataclass(frozen=True)
class IncomingFile:
    """New rows.

    Parameters
    ----------
    path : Path
        The file; or the folder of files that belong together.
    name : str
        For reports; a folder's ends in a slash.
    sha256 : str
        Of the content; of a folder, of its files' digests, with the folders that they lie in.
    files : tuple of Path
        The files that belong together; empty for a single file.
    """

    path: Path
    name: str
    sha256: str
    _: KW_ONLY
    files: tuple[Path, ...] = ()


def incoming_files(place: Path) -> Iterator[IncomingFile]:
    """Yield what lies at `place`, a file or folder, by name, without links to files elsewhere.

    Files that are not tables, too: they go to quarantine, and so are reported.
    """
    if place.is_file() and place.resolve() != NO_FILE.resolve():
        yield IncomingFile(place, _listed(place.name), sha256(place))
    if not place.is_dir():
        return
    files = visible_files(place)
    own = [file for file in files if file.resolve().is_relative_to(place.resolve())]
    if links := sorted({*files} - {*own}):
        names = listed_names([shown_name(file.relative_to(place)) for file in links])
        print(f"retrain: left out, since links to files elsewhere: {names}", file=sys.stderr)
    together = _together(place, own)
    for path in sorted({*together, *own} - {*chain(*together.values())}):
        members = tuple(together.get(path, ()))
        name = place.name if path == place else path.relative_to(place).as_posix()
        digest = _digest(path, members) if members else sha256(path)
        yield IncomingFile(path, _listed(name + "/" * bool(members)), digest, files=members)


def _listed(name: str) -> str:
    # The lists are UTF-8, a line for each file; names of files need not be, and may contain line breaks.
    return on_one_line(os.fsencode(name).decode("utf-8", errors="replace"))


def _digest(folder: Path, files: Sequence[Path]) -> str:
    lines = sorted(f"{sha256(file)} {file.relative_to(folder).parent.as_posix()}" for file in files)
    return hashlib.sha256(os.fsencode("\n".join(lines))).hexdigest()


def _together(place: Path, files: Sequence[Path]) -> dict[Path, list[Path]]:
    """Return the files that belong together, by their folder."""
    rest = [file for file in files if FORMATS.get(extension(file), TEXT) is TEXT]
    rest = [file for _, own in _by_parent(rest) for file in own if len(own) > FEW or not _is_table(file)]
    together = dict(_class_folders(place, rest))
    for parent, others in _by_parent({*rest} - {*chain(*together.values())}):
        others = [file for file in others if not _is_table(file)] if len(others) > FEW else []
        if len(others) > FEW:
            together[parent] = together.get(parent, []) + others
    return together


def _by_parent(files: Iterable[Path]) -> list[tuple[Path, list[Path]]]:
    """Return files by their folder."""
    by_parent = sorted(files, key=lambda file: (file.parent, file))
    return [(parent, list(own)) for parent, own in groupby(by_parent, key=lambda file: file.parent)]


def _is_table(file: Path) -> bool:
    return extension(file) == ".txt" and is_table_file(file, ())


def _class_folders(folder: Path, files: Sequence[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Yield the folders whose folders are classes, or splits of these, with the text files in them."""
    below: dict[Path, list[Path]] = {}
    for file in files:
        if file.parent != folder:
            below.setdefault(folder / file.relative_to(folder).parts[0], []).append(file)
    wrapped = len(below) == 1 and next(iter(below)).name.lower() not in SPLITS
    try:
        by_class = {} if wrapped else texts_by_class(folder, files, SPLITS)
    except ValueError:  # it is unclear which of their names is the class, but may be clear further below
        by_class = {}
    if by_class:
        yield folder, sorted(file for texts in by_class.values() for file in texts)
        return
    for child, own in sorted(below.items()):
        yield from _class_folders(child, own)
