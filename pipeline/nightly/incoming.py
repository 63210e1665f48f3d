"""Incoming: files of new labelled rows, checked before they may become batches.

A file is read in the columns named under `ingest`. What it repeats of the table is skipped. A file that breaks a rule
is put into quarantine, as it is and with its report, and the others go on.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ..base import params, paths
from ..base.errors import PipelineError, display_name, without_credentials
from ..base.files import atomic, sha256, write_json, write_text
from ..base.params import label_name
from ..data import batches, columns, rules, tables
from ..data.forgotten import matching, read_forgotten
from ..data.readers import tables_in
from ..data.rules import Rule, RuleResult
from ..data.settings import NO_FILE, Ingest, Validate
from ..data.split import split_key
from ..reports import validation

QUARANTINED = ("file", "name", "found", "why")  # columns of data/quarantine.csv
DEEP = 350  # folders: more than the ".." that the 1,024 bytes of an object's name hold
# Rules that say something of a file alone; the others hold for the table that it would become part of.
OF_A_FILE = (
    "missing_texts",
    "missing_labels",
    "numeric_texts",
    "max_text_length",
    "max_undecodable",
    "max_conflicts",
    "labels",
)
LEAST = 30  # rows of a class, and of the others, for its agreement to be judged
Predict = Callable[[Sequence[str]], Sequence[str]]  # raw texts to labels


@dataclass(frozen=True)
class Arrival:
    """A file that came in: what it holds, and why it may not become a batch.

    Parameters
    ----------
    path, name, file : Path, str, str
        Where it lies, how it is called there, and its SHA-256.
    rows : int
        Rows in it.
    new : DataFrame of shape (n_rows, 9)
        Those that have text and label and are not in the table yet, with its columns; `given` is the label as the file
        has it, before `ingest.label_map`.
    refused : str
        Why it may not; empty if it may.
    outcomes : list of Outcome
        Of the rules that it was checked against.
    """

    path: Path
    name: str
    file: str
    rows: int
    new: pd.DataFrame
    refused: str = ""
    outcomes: Sequence[RuleResult] = ()

    def as_given(self) -> pd.DataFrame:
        """The new rows with the labels of the file, as batches keep them."""
        return self.new.assign(label=self.new["given"])


@contextmanager
def fetched(address: str) -> Iterator[list[tuple[Path, str, str]]]:
    """The files at `retrain.incoming` that are neither batches nor in quarantine, by path, name and SHA-256.

    What lies at an address is downloaded by DVC, which knows S3, GCS, SSH and the web, and removed at the end.

    Raises
    ------
    PipelineError
        The folder is missing, or the address does not answer.
    """
    with TemporaryDirectory() as temporary:
        place = Path(address)
        if "://" in address:
            place = Path(temporary) / "incoming"
            suffix = "".join(Path(address.partition("?")[0]).suffixes)
            place = place.with_suffix(suffix) if suffix else place
            # An object's name may hold "..", which DVC follows: from so deep a folder none leads out of the temporary.
            deep = Path(temporary, *["deep"] * DEEP, place.name)
            deep.parent.mkdir(parents=True)
            command = [sys.executable, "-m", "dvc", "get-url", address, str(deep)]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            if "does not exist" in done.stderr and not address.startswith("http"):
                place.mkdir()  # object stores know no empty folders, so this may be one
                print(f"retrain: nothing lies at {without_credentials(address)}", file=sys.stderr)
            elif done.returncode:
                reason = without_credentials(" ".join(done.stderr.partition("Having any troubles?")[0].split()))[:300]
                raise PipelineError(f"retrain.incoming {without_credentials(address)} cannot be read: {reason}")
            else:
                deep.rename(place)
        elif not place.exists():
            raise PipelineError(f"retrain.incoming names {place}, which does not exist; make the folder, or correct it")
        seen = set(batches.read_list()["file"]) | set(batches.read_list(paths.QUARANTINE, QUARANTINED)["file"])
        named = [] if place.resolve() == NO_FILE.resolve() else [place]
        files = tables_in(place) if place.is_dir() else named
        listed: dict[str, tuple[Path, str, str]] = {}
        for path in files:
            if path != place and not path.resolve().is_relative_to(place.resolve()):
                print(f"retrain: {path} is left out: it is a link to elsewhere", file=sys.stderr)
                continue
            digest = sha256(path)
            name = path.relative_to(place).as_posix() if place.is_dir() else path.name
            name = os.fsencode(name).decode("utf-8", errors="replace")  # the list is UTF-8; names need not be
            if digest not in seen:
                listed.setdefault(digest, (path, name, digest))
        yield list(listed.values())


def examine(
    files: Sequence[tuple[Path, str, str]],
    table: pd.DataFrame,
    *,
    whole: pd.DataFrame,
    predict: Predict | None,
    min_agreement: float,
) -> list[Arrival]:
    """Read and check files one after another, each beside the table with those before it that passed.

    Parameters
    ----------
    files : sequence of (Path, str, str)
        As `fetched` gives them.
    table : DataFrame of shape (n_rows, 8)
        The rows so far, as ingest writes them.
    whole : DataFrame of shape (>= n_rows, 8)
        These, and those that `ingest.max_rows` leaves out: all that are known.
    predict : callable or None
        The champion: raw texts to labels; None where there is none.
    min_agreement : float
        See `params.yaml`.
    """
    known = set(_keys(whole))
    arrivals = []
    for file in files:
        arrival = _examine_alone(file, table, known, predict, min_agreement)
        if not arrival.refused and len(arrival.new):
            joint = pd.concat([table, arrival.new.drop(columns="given")], ignore_index=True)
            checked = rules.check(rules.measure(joint), rules.rules(params.load(Validate)))
            broken = [outcome for outcome in checked if outcome.verdict == "stop"]
            if broken:
                refused = f"with its rows the whole table breaks {_broken(broken)}"
                arrival = replace(arrival, refused=refused, outcomes=[*arrival.outcomes, *broken])
            else:
                table, known = joint, known | set(_keys(arrival.new))
        arrivals.append(arrival)
    return arrivals


def _examine_alone(
    file: tuple[Path, str, str],
    table: pd.DataFrame,
    known: set[tuple[str, str]],
    predict: Predict | None,
    min_agreement: float,
) -> Arrival:
    path, name, digest = file
    settings, limits = params.load(Ingest), params.load(Validate)
    try:
        raw = tables.read_file(path, settings, name)
        mapped = columns.map_labels(raw.assign(given=raw["label"]), _of_file(settings.label_map, raw))
    except (PipelineError, ArithmeticError, MemoryError, ValueError) as error:  # of whatever sort the file is
        kept = error.redacted if isinstance(error, PipelineError) else f"{name} cannot be read ({type(error).__name__})"
        why = kept.replace(str(path), name)  # the list stands in git
        rule = Rule("readable", "table", "", {}, "the file can be read in the columns named under ingest")
        nothing = table.iloc[:0].assign(given="")
        return Arrival(path, name, digest, 0, nothing, why, [RuleResult(rule, False, None, why)])
    rows = tables.complete(mapped, source=name).assign(given=mapped["given"])
    limits = limits.model_copy(update={"labels": limits.labels or sorted(table["label"].dropna().unique())})
    declared = [rule for rule in rules.rules(limits) if rule.name in OF_A_FILE]
    outcomes = rules.check(rules.measure(rows), declared)
    keys = pd.Series(_keys(rows), index=rows.index, dtype="object")
    whole = keys.map(all).astype(bool)  # neither text nor label is missing
    new = rows[whole & ~keys.isin(known) & ~keys.duplicated() & ~matching(rows, read_forgotten())]
    if predict is not None:
        outcomes += agreement(new, predict, min_agreement)
    return Arrival(path, name, digest, len(raw), new.reset_index(drop=True), _broken(outcomes), outcomes)


def agreement(rows: pd.DataFrame, predict: Predict, least: float) -> list[RuleResult]:
    """Judge the labels of new rows by the champion: one outcome, or none where no class has rows enough.

    For each class, the share of its rows for which the champion says so too, less that share of the other rows
    (Youden 1950, Index for rating diagnostic tests). New subjects lower it, labels at random take it to 0, labels that
    were swapped turn it negative. A class counts against the rows where its 95 % interval lies below `least`.
    """
    rows = rows.dropna(subset=["text", "label"])
    said = np.array(predict(rows["text"].to_list())) if len(rows) else np.array([])
    found = {}
    for label in sorted(set(said) & set(rows["label"])):  # what it never says here tells nothing
        of_it = (rows["label"] == label).to_numpy()
        sizes = np.array([of_it.sum(), (~of_it).sum()])
        if sizes.min() >= LEAST:
            shares = np.array([(said[of_it] == label).mean(), (said[~of_it] == label).mean()])
            found[label] = (
                shares[0] - shares[1],
                shares[0] - shares[1] + 1.96 * np.sqrt((shares * (1 - shares) / sizes).sum()),
            )
    if not found:
        return []
    worst = min(found, key=lambda label: found[label][1])
    value, high = map(float, found[worst])
    rule = Rule(
        "min_agreement", "classes", "", {"min_value": least},
        "the champion finds each class more often among its rows than among the others, by so much or more",
        "retrain.min_agreement",
    )  # fmt: skip
    return [RuleResult(rule, high >= least, value, f"{value:.2f} (class {display_name(worst)!r})")]


def put_into_quarantine(arrival: Arrival, found: str) -> Path:
    """Copy a refused file, with the report of its rules, to `data/quarantine/`, and list it; give the folder."""
    folder = paths.QUARANTINE_FILES / arrival.file[:16]
    name = os.fsencode(Path(arrival.name).name)[-200:].decode(errors="ignore")  # systems take 255 bytes
    with atomic(folder / name) as temporary:
        shutil.copyfile(arrival.path, temporary)
    shown_rules = rules.results(list(arrival.outcomes), {"table": arrival.new, "classes": _classes(arrival.new)})
    write_json(folder / "results.json", {"name": arrival.name, "why": arrival.refused, **shown_rules})
    write_text(folder / "index.html", validation.render(shown_rules))
    line = {"file": arrival.file, "name": arrival.name, "found": found, "why": arrival.refused}
    batches.append(line, paths.QUARANTINE, QUARANTINED)
    return folder


def _keys(table: pd.DataFrame) -> list[tuple[str, str]]:
    """What makes a row a known one: its label, and its text but for case, width of characters and white space."""
    return list(zip(table["text"].fillna("").map(split_key), table["label"].fillna(""), strict=True))


def _of_file(label_map: Mapping[Any, str | None] | None, raw: pd.DataFrame) -> dict[Any, str | None] | None:
    """The part of the map that a file has labels for: it need not have all."""
    if label_map is None:
        return None
    labels = set(raw["label"].dropna())
    return {key: name for key, name in label_map.items() if label_name(key) in labels}


def _broken(outcomes: Sequence[RuleResult]) -> str:
    return "; ".join(outcome.sentence for outcome in outcomes if outcome.verdict == "stop")


def _classes(rows: pd.DataFrame) -> pd.DataFrame:
    return rows["label"].value_counts().rename_axis("label").reset_index(name="rows")
