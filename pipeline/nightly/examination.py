"""Checks of incoming files, before their rows may become increments.

Rows that the table already has are skipped. A file that breaks a rule is refused; the others go on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ..base import params
from ..base.errors import PipelineError
from ..base.params import label_name
from ..data import tables
from ..data.forgotten import mask_listed, read_forgotten
from ..data.labels import map_labels
from ..data.readers.reading import Reading
from ..data.rules.engine import check_rules
from ..data.rules.rule import Rule, RuleResult, select
from ..data.rules.table import OF_READING, declared_rules, rule_tables
from ..data.settings import Ingest, Validate
from ..data.split import split_key
from .agreement import Judge, agreement
from .incoming import ExaminedFile
from .listing import IncomingFile

# Rules that hold for a file by itself; the others hold for the table with its rows.
FILE_RULES = (
    "missing_texts",
    "missing_labels",
    "numeric_texts",
    "max_text_length",
    "max_undecodable",
    "max_conflicts",
    "labels",
    "invisible_characters",
    *(name for name, *_ in OF_READING),
)


def examine(
    files: Sequence[IncomingFile],
    table: pd.DataFrame,
    *,
    known: pd.DataFrame,
    judge: Judge | None,
    min_agreement: float,
) -> list[ExaminedFile]:
    """Read and check files one after another, each together with the table and the accepted files before it.

    Parameters
    ----------
    files : sequence of IncomingFile
        See `unseen_files`.
    table : DataFrame of shape (n_rows, 8)
        The rows so far, as ingest writes them.
    known : DataFrame of shape (>= n_rows, 8)
        All known rows: these, and those that `ingest.max_rows` leaves out.
    judge : Judge or None
        The champion; None if there is none, or no rows to measure it on.
    min_agreement : float
        See `params.yaml`.
    """
    keys = set(_keys(known))
    examined = []
    for incoming_file in files:
        file = _examine_file(incoming_file, table, keys, judge, min_agreement)
        if not file.refusal and len(file.new_rows):
            extended = pd.concat([table, file.new_rows.drop(columns="given")], ignore_index=True)
            results = check_rules(rule_tables(extended), declared_rules(params.load(Validate)))
            if broken := [result for result in results if result.verdict == "stop"]:
                refusal = f"with its rows the whole table breaks {_sentences(broken)}"
                file = replace(file, refusal=refusal, results=[*file.results, *broken])
            else:
                table = extended
                keys.update(_keys(file.new_rows))
        examined.append(file)
    return examined


def _examine_file(
    file: IncomingFile,
    table: pd.DataFrame,
    known: set[tuple[str, str]],
    judge: Judge | None,
    min_agreement: float,
) -> ExaminedFile:
    """Read a file and check it by itself; `known` are the keys of known rows."""
    settings, limits = params.load(Ingest), params.load(Validate)
    reading = Reading(max_broken=settings.max_broken)
    try:
        raw = _read(file, settings, reading)
        mapped = map_labels(raw.assign(given=raw["label"]), _relevant(settings.label_map, raw))
    except (PipelineError, ArithmeticError, MemoryError, ValueError) as error:  # a file may be broken in any way
        return _unreadable(file, error, table, reading)
    rows = tables.complete(mapped, source=file.name).assign(given=mapped["given"])
    limits = limits.model_copy(update={"labels": limits.labels or sorted(table["label"].dropna().unique())})
    rules, raw_tables = declared_rules(limits), rule_tables(rows, {file.name: reading})
    results = check_rules(raw_tables, [rule for rule in rules if rule.name in FILE_RULES])
    reading.dropped = raw_tables.n_with_invisible
    keys = pd.Series(_keys(rows), index=rows.index, dtype="object")
    complete = keys.map(all).astype(bool)  # neither text nor label is missing
    new = rows[complete & ~keys.isin(known) & ~keys.duplicated() & ~mask_listed(rows, read_forgotten())]
    if judge is not None:
        results += agreement(new, judge, min_agreement)
    new, refusal = new.reset_index(drop=True), _sentences(results)
    return ExaminedFile(**vars(file), n_rows=len(raw), new_rows=new, refusal=refusal, results=results, reading=reading)


def _read(file: IncomingFile, settings: Ingest, reading: Reading) -> pd.DataFrame:
    """Read a file, or a folder of text files by class; its rows are known by their text, so that new ones are found."""
    if not file.files:
        return tables.read_file(file.path, settings, file.name, reading)
    texts = tables.read_class_folder(file.path, settings, reading=reading, files=file.files)
    if texts is None:
        raise PipelineError(
            f"{file.name} has {len(file.files):,} files that are not tables; texts need a folder for each class, such "
            "as pos/1.txt and neg/1.txt, and tables one of the supported file extensions"
        )
    return texts.assign(source=file.name + texts["source"])


def _unreadable(file: IncomingFile, error: Exception, table: pd.DataFrame, reading: Reading) -> ExaminedFile:
    reason = (
        error.redacted if isinstance(error, PipelineError) else f"{file.name} cannot be read ({type(error).__name__})"
    )
    refusal = reason.replace(str(file.path), file.name)  # it is listed in git
    rule = Rule("readable", "table", "", {}, "the file can be read in the columns named under ingest")
    no_rows = table.iloc[:0].assign(given="")
    result = RuleResult(rule, False, None, refusal)
    return ExaminedFile(**vars(file), n_rows=0, new_rows=no_rows, refusal=refusal, results=[result], reading=reading)


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return what identifies each row: its text, ignoring case, character width and white space, and its label."""
    return list(zip(table["text"].fillna("").map(split_key), table["label"].fillna(""), strict=True))


def _relevant(label_map: Mapping[Any, str | None] | None, raw: pd.DataFrame) -> dict[Any, str | None] | None:
    """Return the entries of the map whose labels the file has: a file need not have all."""
    if label_map is None:
        return None
    labels = set(raw["label"].dropna())
    return {key: name for key, name in label_map.items() if label_name(key) in labels}


def _sentences(results: Sequence[RuleResult]) -> str:
    """Return what stops, on one line: the list of quarantined files has one for each file."""
    return "; ".join(result.sentence for result in select(results, "stop"))
