"""Predict: a CSV of raw texts in, the same CSV with labels and probabilities out.

`python -m pipeline.predict INPUT.csv OUTPUT.csv --text-column text [--model champion]`
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from . import params, stage, tracking
from .files import atomic
from .stage import PipelineError

CHUNK = 4_096  # rows held in memory at once


def check_columns(source: Path, text_column: str) -> None:
    """Fail on a file that cannot be predicted, before the model is loaded."""
    with _readable(source):
        columns = list(pd.read_csv(source, dtype=str, nrows=0, encoding="utf-8-sig").columns)
    if text_column not in columns:
        raise PipelineError(f"{source} has no column {text_column!r} but {', '.join(columns)}; set --text-column")


@contextmanager
def _readable(source: Path) -> Iterator[None]:
    """Turn what reading a CSV raises into one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise PipelineError(f"{source} does not exist") from error
    except UnicodeDecodeError as error:
        raise PipelineError(f"{source} is not UTF-8 (byte {error.start}); convert it first") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise PipelineError(f"{source} is no valid CSV: {error}") from error


def predict_csv(source: Path, target: Path, *, text_column: str, model: "tracking.PredictsTables") -> int:
    """Copy `source` to `target` with the columns `predicted_label`, `confidence` and `p_<class>` added.

    Returns
    -------
    int
        Rows predicted.

    Raises
    ------
    PipelineError
        The file is missing, no UTF-8 or no CSV, or has one of the columns to add.
    """
    rows = 0
    with _readable(source), atomic(target) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        # Every cell stays the string that it was: no number is rewritten, no "None" becomes empty.
        chunks = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8-sig", chunksize=CHUNK)
        for chunk in tqdm(chunks, desc="predict", unit=f" x {CHUNK:,} rows", disable=None):
            texts = chunk[[text_column]].rename(columns={text_column: "text"})
            predicted = model.predict(texts).set_index(chunk.index).round(6)
            taken = sorted(set(predicted.columns) & set(chunk.columns))
            if taken:
                raise PipelineError(f"{source} already has the column {taken[0]!r}; rename or remove it")
            pd.concat([chunk, predicted], axis=1).to_csv(stream, index=False, header=rows == 0)
            rows += len(chunk)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.predict", description="Label the texts of a CSV file.")
    parser.add_argument("input", type=Path, help="CSV file, UTF-8, with a header")
    parser.add_argument("output", type=Path, help="CSV file to write")
    parser.add_argument("--text-column", default="text", help="column that holds the texts (default: text)")
    parser.add_argument("--model", default="champion", help="alias or version number of the model (default: champion)")
    options = parser.parse_args()
    check_columns(options.input, options.text_column)
    name = params.model_name()
    rows = predict_csv(
        options.input,
        options.output,
        text_column=options.text_column,
        model=tracking.load_model(name, options.model),
    )
    print(f"{rows:,} rows of {options.input} labelled by {name} {options.model}: {options.output}")


if __name__ == "__main__":
    stage.run("predict", main)
