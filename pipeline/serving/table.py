"""Predict: label the rows of a table of any length."""

import argparse
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from ..base import command
from ..base.errors import PipelineError
from ..base.files import atomic
from ..base.modalities import MODALITIES
from ..data.joined import open_joined
from ..data.readers.compression import packing
from ..data.readers.formats import BY_NAME, format_by_name
from ..data.readers.streams import TableStream
from ..inference.manifest import columns
from ..inference.predictor import parse_class_priors
from ..registry.models import OpenedModel, open_model
from .prediction_job import estimated_class_shares, predict_table

NOTHING_LABELLED = 3  # exit status if every row has an error


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    if options.workers < 1:
        raise PipelineError(f"--workers must be 1 or more, got {options.workers}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no half-written file is left
    counts, model_name = predict_file(options)
    errors = sum(rows for error, rows in counts.items() if error)
    by_error = "".join(f"; {rows:,} rows: {error}" for error, rows in sorted(counts.items()) if error)
    print(
        f"{counts.total() - errors:,} rows of {options.input} labelled by {model_name}: {options.output}{by_error}",
        file=sys.stderr if options.output == "-" else sys.stdout,
    )
    if errors and errors == counts.total():
        sys.exit(NOTHING_LABELLED)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("predict", __doc__, example="reviews.csv labelled.csv --text-column review")
    parser.add_argument(
        "input",
        type=command.file,
        help="CSV, TSV, JSON (lines or an array), Parquet or Excel, also compressed (.csv.gz); - for standard input",
    )
    parser.add_argument("output", type=command.file, help="file to write, of the same format; - for standard output")
    parser.add_argument(
        "--text-column",
        action="append",
        metavar="COLUMN",
        help="column of the texts (default: that of the training file); give it again for each one to join",
    )
    parser.add_argument(
        "--column",
        action="append",
        type=_column,
        metavar="MODALITY=COLUMN",
        help=f"column of another input than text (default: that of the training file): {', '.join(MODALITIES)}",
    )
    parser.add_argument(
        "--no-header",
        action="store_true",
        help="the CSV's first line is a row: --text-column 2 is its second cell",
    )
    parser.add_argument(
        "--model",
        type=command.model,
        default="champion",
        help="alias or version of the registered model, or a folder (default: champion)",
    )
    parser.add_argument("--format", choices=tuple(BY_NAME), help="if the extensions do not tell it")
    parser.add_argument("--encoding", type=_encoding, help="of the input (default: detected; - is UTF-8)")
    parser.add_argument("--delimiter", type=_delimiter, help="between the cells of a CSV (default: detected)")
    parser.add_argument("--workers", type=int, default=cores(), help="processes (default: one for each core)")
    parser.add_argument(
        "--class-shares",
        default="",
        metavar="SHARES",
        help="if not those of training: 'estimate', or each class's, such as '{\"sad\": 0.2, \"glad\": 0.8}'",
    )
    return parser


def _column(text: str) -> tuple[str, str]:
    name, _, column = text.partition("=")
    if name not in MODALITIES or not column:
        raise argparse.ArgumentTypeError(f"must be MODALITY=COLUMN, such as {MODALITIES[0]}=review, got {text!r}")
    return name, column


def _encoding(name: str) -> str:
    try:
        "a".encode(name)
    except (LookupError, UnicodeError):
        raise argparse.ArgumentTypeError(f"unknown encoding {name!r}; use a name that Python knows") from None
    return name


def _delimiter(text: str) -> str:
    if not ("\t" <= (delimiter := text.replace(r"\t", "\t")) <= "\x7f" and len(delimiter) == 1):
        raise argparse.ArgumentTypeError(f"must be one ASCII character, or \\t for a tab, got {text!r}")
    return delimiter


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def predict_file(options: argparse.Namespace) -> tuple[Counter[str], str]:
    """Predict the input file and write the output file.

    Parameters
    ----------
    options : argparse.Namespace
        The command line.

    Returns
    -------
    counts : Counter
        Rows by error; "" for those predicted.
    model_name : str
        For messages.
    """
    _check_formats(options)
    if options.output != "-" and Path(options.input).resolve() == Path(options.output).resolve():
        raise PipelineError(f"{options.output} is the input, which would be lost; choose another output file")
    estimate = options.class_shares == "estimate"
    if estimate and options.input == "-":
        raise PipelineError("--class-shares estimate reads the texts twice; name a file instead of standard input")
    try:
        with open_model(options.model) as model:
            columns, shares = _columns(options, model), checked_shares(model, options.class_shares)
            table = _open_input(options, columns)
            if estimate:
                shares, found = estimated_class_shares(_open_input(options, columns), model, workers=options.workers)
                print(found, file=sys.stderr)
            with _open_output(options.output) as target:
                return predict_table(table, target, model, workers=options.workers, class_shares=shares), model.name
    except OSError as error:
        raise PipelineError(f"cannot use {error.filename or options.output}: {error.strerror or error}") from error


def _check_formats(options: argparse.Namespace) -> None:
    form = format_by_name(options.input, options.format)
    if options.output != "-" and form is not format_by_name(options.output, options.format):
        raise PipelineError(
            f"{options.output} must have the format of {options.input}, {form.name}; choose another name, or set "
            "--format"
        )


def _columns(options: argparse.Namespace, model: OpenedModel) -> dict[str, list[str | int]]:
    """Return the columns to read, by modality: as the options name them, otherwise those of the training file."""
    named: dict[str, list[str | int]] = {}
    for name, column in [*(("text", column) for column in options.text_column or ()), *(options.column or ())]:
        named.setdefault(name, []).append(command.column_number(column) if options.no_header else column)
    trained = columns(model.manifest())
    if not named.keys() <= trained.keys():
        raise PipelineError(f"{model.name} reads {' and '.join(trained)}, not {' and '.join(named)}")
    chosen = trained | named
    command.check_columns([*chain.from_iterable(chosen.values())], no_header=options.no_header)
    return chosen


def _open_input(options: argparse.Namespace, columns: Mapping[str, Sequence[str | int]]) -> TableStream:
    return open_joined(
        options.input,
        columns,
        format_name=options.format,
        encoding=options.encoding,
        delimiter=options.delimiter,
        output=options.output,
    )


@contextmanager
def _open_output(path: str) -> Iterator[BinaryIO]:
    """Open the output, compressed if its extension is that of a compressed file; a file appears once it is complete."""
    if path == "-":
        yield sys.stdout.buffer
        return
    with atomic(Path(path).resolve()) as temporary, temporary.open("wb") as file, packing(file, path) as target:
        yield target


def checked_shares(model: OpenedModel, class_shares: str) -> str:
    """Return the class shares of the command line, if the model can use them."""
    manifest = model.manifest()
    if class_shares and "class_shares" not in manifest:
        raise PipelineError(f"{model.name} is older than --class-shares and would ignore it; train it again")
    if class_shares == "estimate" and "class_priors" not in manifest:
        raise PipelineError(
            f"{model.name} cannot estimate class shares, as it does not say which ones its probabilities imply; "
            "train it again, or name each class's share"
        )
    if class_shares and class_shares != "estimate":
        try:
            parse_class_priors(class_shares, manifest["classes"])
        except ValueError as error:
            raise PipelineError(f"--{error}".replace("class_shares", "class-shares", 1)) from error
    return class_shares
