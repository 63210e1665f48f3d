"""Predict: a CSV of raw texts in, the same CSV with labels and probabilities out.

`python -m pipeline.predict INPUT.csv OUTPUT.csv --text-column text [--model champion] [--class-shares estimate]`
"""

import argparse
import csv
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from tqdm import tqdm

from . import params, stage, tracking
from .files import atomic
from .stage import PipelineError

CHUNK = 4_096  # rows held in memory at once
MOST_ROWS = 10_000_000  # that the classes' shares are estimated of
# Every cell stays the string that it was: no number is rewritten, no "None" becomes empty, no blank line is skipped.
READING: dict[str, Any] = {
    "dtype": str,
    "keep_default_na": False,
    "skip_blank_lines": False,
    "index_col": False,
    "encoding": "utf-8-sig",
}


class PredictsTables(Protocol):
    """What a loaded model does: a table with a column `text` in, the table of labels and probabilities out."""

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame: ...


def read_header(source: Path, text_column: str) -> list[str]:
    """The columns of a CSV file; fails on one that cannot be predicted, before the model is loaded."""
    with _readable(source):
        header = pd.read_csv(source, header=None, nrows=1, **READING)
    columns: list[str] = header.fillna("").iloc[0].to_list()
    if text_column not in columns:
        raise PipelineError(f"{source} has no column {text_column!r} but {', '.join(columns)}; set --text-column")
    for column in columns:
        if columns.count(column) > 1:
            raise PipelineError(f"{source} has the column {column!r} twice; rename one of them")
    return columns


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Turn what reading a CSV raises into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with too many cells would lose some
            yield
    except OSError as error:
        raise PipelineError(f"{error.filename or source} cannot be used: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"{source} is not UTF-8 (byte {error.start}); convert it first") from error
    except pd.errors.ParserWarning as error:
        raise PipelineError(
            f"{source} is no valid CSV: a row has more cells than the header; quote cells that hold a comma"
        ) from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise PipelineError(f"{source} is no valid CSV: {error}") from error


def predict_csv(
    source: Path,
    target: Path,
    columns: list[str],
    *,
    text_column: str,
    model: PredictsTables,
    class_shares: str = "",
) -> int:
    """Copy `source` to `target` with the columns `predicted_label`, `confidence` and `p_<class>` added.

    Parameters
    ----------
    source, target : Path
        CSV files; `target` appears when it is complete.
    columns : list of str
        The columns of `source`, as `read_header` gives them.
    text_column : str
        The column that holds the texts.
    model : PredictsTables
        What predicts them.
    class_shares : str
        As in `Predictor.probabilities`; to estimate them, all rows are held in memory at once.

    Returns
    -------
    int
        Rows predicted.

    Raises
    ------
    PipelineError
        A file cannot be read or written, `source` is no UTF-8 or no CSV, or has one of the columns to add; or
        `class_shares` are none.
    """
    rows, size = 0, MOST_ROWS if class_shares == "estimate" else CHUNK
    with _readable(source), atomic(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        chunks = pd.read_csv(source, header=0, names=columns, chunksize=size, **READING)
        for chunk in tqdm(chunks, desc="predict", unit=f" x {size:,} rows", disable=None):
            chunk = chunk.fillna("")  # a row that ends early
            texts = chunk[[text_column]].rename(columns={text_column: "text"})
            predicted = _predict(model, texts, class_shares).set_index(chunk.index).round(6)
            taken = sorted(set(predicted.columns) & set(chunk.columns))
            if taken:
                raise PipelineError(f"{source} already has the column {taken[0]!r}; rename or remove it")
            whole = pd.concat([chunk, predicted], axis=1)
            # Quoted, because a reader may take a bare carriage return in a text for the end of the row.
            whole.to_csv(stream, index=False, header=rows == 0, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
            rows += len(chunk)
    return rows


def _predict(model: PredictsTables, texts: pd.DataFrame, class_shares: str) -> pd.DataFrame:
    if not class_shares:
        return model.predict(texts)
    try:
        return model.predict(texts, params={"class_shares": class_shares})
    except ValueError as error:
        raise PipelineError(f"--{error}".replace("class_shares", "class-shares", 1)) from error


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.predict", description="Label the texts of a CSV file.")
    parser.add_argument("input", type=Path, help="CSV file, UTF-8, with a header")
    parser.add_argument("output", type=Path, help="CSV file to write")
    parser.add_argument("--text-column", default="text", help="column that holds the texts (default: text)")
    parser.add_argument("--model", default="champion", help="alias or version number of the model (default: champion)")
    parser.add_argument(
        "--class-shares",
        default="",
        metavar="SHARES",
        help="other than in training: 'estimate', or each class's, such as '{\"sad\": 0.2, \"glad\": 0.8}'",
    )
    options = parser.parse_args()
    columns = read_header(options.input, options.text_column)
    name = params.model_name()
    model = tracking.load_model(name, options.model)
    if options.class_shares and not model.metadata.get_params_schema():
        raise PipelineError(f"{name} {options.model} is older than --class-shares and would ignore it; train it anew")
    rows = predict_csv(
        options.input,
        options.output,
        columns,
        text_column=options.text_column,
        model=model,
        class_shares=options.class_shares,
    )
    print(f"{rows:,} rows of {options.input} labelled by {name} {options.model}: {options.output}")


if __name__ == "__main__":
    stage.run("predict", main)
