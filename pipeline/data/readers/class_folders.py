"""A folder of text files by class, as the original IMDB data set: one text a file, the label is the folder's name."""

import io
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from ...base.errors import PipelineError
from .encodings import is_encoded, known_encoding
from .formats import FORMATS, TEXT, extension, listed_names, shown_name, visible_files
from .reading import Reading
from .sources import Source
from .text_tables import is_table_file

if TYPE_CHECKING:
    import pandas as pd

UNLABELLED = ("unsup", "unsupervised", "unlabelled", "unlabeled")  # folders of texts without a label
PROBED = 100  # files of which most must be texts, not tables
Parts = tuple[str, ...]  # of a path


@dataclass(frozen=True)
class ClassFolder:
    """Where text files of one class lie, below the folder that the user named.

    Parameters
    ----------
    parts : tuple of str
        Names of the folders.
    label : str
        The class; "" if they have none.
    split : str
        The folder's name that is one of a split, such as "train"; "" if none is.
    """

    parts: Parts
    label: str
    split: str


def class_folders(folders: Sequence[Parts], split_names: Sequence[str]) -> list[ClassFolder]:
    """Return the classes of folders with text files; none unless there are two.

    Parameters
    ----------
    folders : sequence of tuple of str
        Their paths, as names.
    split_names : sequence of str
        Names of folders that are splits, in lower case.

    Raises
    ------
    ValueError
        Folders lie in one another, so that it is unclear which name is the class.

    Examples
    --------
    >>> for folder in class_folders([("train", "neg"), ("train", "pos"), ("train", "unsup")], ["train"]):
    ...     print(folder.label, folder.split)
    neg train
    pos train
     train
    """
    leaves = [parts for parts in folders if not any(other[: len(parts)] == parts != other for other in folders)]
    levels = zip(*(parts[:-1] for parts in leaves), strict=False)
    wrapped = len(list(takewhile(lambda names: len({*names}) == 1, levels)))  # folders around all of them
    classes = []
    for parts in leaves:
        splits = [name for name in parts if name.lower() in split_names]
        labels = [name for name in parts[wrapped:] if name not in splits]
        if len(labels) > 1:
            raise ValueError("/".join(parts))
        label = "" if not labels or labels[0].lower() in UNLABELLED else labels[0]
        classes.append(ClassFolder(parts, label, splits[-1] if splits else ""))
    return classes if len({found.label for found in classes} - {""}) > 1 else []


def read_texts_by_class(
    folder: Path,
    *,
    split_names: Sequence[str],
    encoding: str | None,
    left_out: list[str] | None = None,
    reading: Reading | None = None,
    files: Sequence[Path] | None = None,
) -> "pd.DataFrame | None":
    """Read the text files of a folder that has a folder for each class, and no table.

    Parameters
    ----------
    folder : Path
        What the user named.
    split_names : sequence of str
        Names of folders that are splits, in lower case.
    encoding : str or None
        Of all files; None to detect it.
    left_out : list of str or None
        Gets the names of other files, and of folders without a label.
    reading : Reading or None
        Gets the encoding.
    files : sequence of Path or None
        The files to look at; None for all in the folder.

    Returns
    -------
    DataFrame of shape (n_files, 4) or None
        `text`, `label`, `split` ("" where none) and `source`, the file's path in the folder; None for another folder.

    Raises
    ------
    PipelineError
        A file cannot be read, or the folders do not tell the class.
    """
    import pandas as pd

    if files is None:
        files = visible_files(folder) if folder.is_dir() else []
    if any(FORMATS.get(extension(file), TEXT) is not TEXT for file in files):
        return None
    try:
        by_class = texts_by_class(folder, files, split_names)
    except ValueError as error:
        raise PipelineError(
            f"{folder}: text files lie in folders of folders, such as {shown_name(Path(str(error)))}; have one folder "
            "for each class, in train and test if they are split"
        ) from error
    rows = [(found, file) for found, texts in by_class.items() if found.label for file in texts]
    others = sorted({*files} - {file for _, file in rows})
    if not rows or any(map(_is_table, others)):
        return None
    _report_left_out(folder, [*by_class], others, left_out)
    texts = _decoded([file for _, file in rows], folder, encoding, reading or Reading())
    cells = [(found.label, found.split, file.relative_to(folder).as_posix()) for found, file in rows]
    return pd.DataFrame(cells, columns=["label", "split", "source"]).assign(text=texts)


def texts_by_class(folder: Path, files: Sequence[Path], split_names: Sequence[str]) -> dict[ClassFolder, list[Path]]:
    """Return the text files of each class, and those in folders without a label; none if most are tables.

    Raises
    ------
    ValueError
        As in `class_folders`.
    """
    by_folder: dict[Parts, list[Path]] = {}
    for file in files:
        parts = file.relative_to(folder).parts[:-1]
        if parts and file.suffix.lower() == ".txt":
            by_folder.setdefault(parts, []).append(file)
    by_class = {found: by_folder[found.parts] for found in class_folders([*by_folder], split_names)}
    return {} if _are_tables([file for found in by_class if found.label for file in by_class[found]]) else by_class


def _is_table(file: Path) -> bool:
    return extension(file) == ".txt" and is_table_file(file, ())


def _are_tables(texts: Sequence[Path]) -> bool:
    """Whether most are tables; a few texts may look like one by chance."""
    probed = texts[:: max(1, len(texts) // PROBED)]
    return 2 * sum(map(_is_table, probed)) > len(probed)


def _report_left_out(
    folder: Path, classes: Sequence[ClassFolder], others: Sequence[Path], left_out: list[str] | None
) -> None:
    """Name other files, and folders of texts without a label with the number of their files."""
    unlabelled = {found.parts for found in classes if not found.label}
    parents = Counter(file.relative_to(folder).parts[:-1] for file in others)
    names = [f"{shown_name(Path(*parts))} ({parents[parts]:,} files)" for parts in sorted(unlabelled)]
    names += [
        shown_name(file.relative_to(folder)) for file in others if file.relative_to(folder).parts[:-1] not in unlabelled
    ]
    if names:
        print(f"{folder}: left out, since not texts of a class: {listed_names(names)}", file=sys.stderr)
    if left_out is not None:
        left_out += names


def _decoded(files: Sequence[Path], folder: Path, encoding: str | None, reading: Reading) -> list[str]:
    """Return the texts; they share one encoding, which a short text alone would not show."""
    contents = [file.read_bytes() for file in files]
    known = known_encoding(Source(str(folder), lambda: io.BytesIO(b"\n".join(contents))), encoding, "ingest.encoding")
    reading.encoding = known
    reading.guessed = encoding is None and reading.is_legacy
    texts = [content.decode(known, errors="replace") for content in contents]
    damaged = sum(
        "\ufffd" in text and not is_encoded(content, known) for content, text in zip(contents, texts, strict=True)
    )
    if damaged:
        print(f"{folder}: {damaged:,} file(s) hold bytes that are not {known}, which are replaced", file=sys.stderr)
    for file, text in zip(files, texts, strict=True):
        if "\0" in text:
            raise PipelineError(f"{file} holds a NUL character; it is damaged or not a text file")
    return [text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n") for text in texts]
