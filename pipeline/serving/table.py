"""Predict: label the texts of a table, however long it is."""

import argparse
import json
import os
import re
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from ..base import command
from ..base.errors import PipelineError
from ..base.files import atomic
from ..data.streams import Table, Unreadable, kind_of, open_table
from ..inference.predictor import read_shares
from ..registry.models import OpenedModel, Predict, Predicted, open_model
from ..text.cleaning import clean_text

CHUNK = 4_096  # rows that a process predicts at once
WAITING = 3  # chunks read ahead for each process
_SURROGATE = re.compile("[\ud800-\udfff]")


def fault(text: Any) -> str | None:
    """Why a value cannot be predicted; None where it can."""
    if isinstance(text, Unreadable):
        return str(text)
    if text is None:
        return "the text is missing"
    if not isinstance(text, str):
        return "the text is no string"
    if not text.isascii() and _SURROGATE.search(text):
        return "the text is no valid UTF-8"
    first = text.lstrip()[:1]
    # Only what begins with markup, an entity or a control character can have nothing left; cleaning takes time.
    if not first or ((first in "<&" or not first.isprintable()) and not clean_text(text)):
        return "the text is empty"
    return None


Submit = Callable[[list[str]], Callable[[], Predicted]]


@contextmanager
def processes(model: OpenedModel, workers: int, class_shares: str) -> Iterator[Submit]:
    """Give a function that takes texts and gives one that waits for what is predicted of them.

    With one worker, this process predicts; else as many others, of one thread each.
    """
    if workers == 1:
        predict = model.load()

        def at_once(texts: list[str]) -> Callable[[], Predicted]:
            found = predict(texts, class_shares)
            return lambda: found

        yield at_once
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    executor = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (model,))
    try:
        yield lambda texts: executor.submit(_predict, texts, class_shares).result
    except BrokenProcessPool as error:
        raise PipelineError(
            "a process that predicts has ended, for want of memory or by a signal; set --workers 1"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


_loaded: dict[str, Predict] = {}  # in a process that predicts


def _begin(model: OpenedModel) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others
    _loaded["model"] = model.load()


def _predict(texts: list[str], class_shares: str) -> Predicted:
    return _loaded["model"](texts, class_shares)


def predictions(
    table: Table, model: OpenedModel, *, workers: int, class_shares: str = ""
) -> Iterator[tuple[Any, list[str | None], Predicted]]:
    """The chunks of a table in their order: rows, what is wrong with each, and what is predicted, None for those.

    Parameters
    ----------
    table : Table
        Just opened.
    model : OpenedModel
        What predicts.
    workers : int
        Processes; one, where the table has one chunk: to start others takes longer than to predict it.
    class_shares : str
        As in `Predictor.probabilities`, but not "estimate".
    """
    chunks = table.chunks(CHUNK)
    first = list(islice(chunks, 2))
    waiting: deque[tuple[Any, list[str | None], Callable[[], Predicted]]] = deque()
    with processes(model, workers if len(first) > 1 else 1, class_shares) as submit:
        for chunk, texts in chain(first, chunks):
            errors = [fault(text) for text in texts]
            usable = [text for text, error in zip(texts, errors, strict=True) if error is None]
            waiting.append((chunk, errors, submit(usable)))
            if len(waiting) > WAITING * workers:
                yield _in_place(*waiting.popleft())
        while waiting:
            yield _in_place(*waiting.popleft())


def _in_place(
    chunk: Any, errors: list[str | None], result: Callable[[], Predicted]
) -> tuple[Any, list[str | None], Predicted]:
    predicted = result()
    if any(errors):
        columns = [iter(column) for column in predicted]
        predicted = [[None if error else next(column) for error in errors] for column in columns]
    return chunk, errors, predicted


def predict_table(
    table: Table, target: BinaryIO, model: OpenedModel, *, workers: int = 1, class_shares: str = ""
) -> Counter[str]:
    """Write a table to `target` with `predicted_label`, `confidence`, `p_<class>` and `error` added.

    Parameters are those of `predictions`. A row with an error has no values in the other new columns.

    Returns
    -------
    Counter
        Rows by what was wrong with them; "" for those predicted.
    """
    numbers = ["confidence", *(f"p_{name}" for name in model.manifest()["classes"])]
    added = {"predicted_label": str, **dict.fromkeys(numbers, float), "error": str}
    counts: Counter[str] = Counter()
    table.start(target, added)
    try:
        with tqdm(desc="predict", unit=" rows", unit_scale=True, disable=None) as progress:
            for chunk, errors, predicted in predictions(table, model, workers=workers, class_shares=class_shares):
                counts.update(error or "" for error in errors)
                table.write(chunk, dict(zip(added, [*predicted, errors], strict=True)))
                progress.update(len(errors))
    except BaseException:
        table.abandon()
        raise
    table.finish()
    return counts


def estimated_shares(table: Table, model: OpenedModel, *, workers: int = 1) -> str:
    """The classes' shares among the texts of a table, as JSON; see `calibration.estimate_shares`."""
    import numpy as np

    from ..inference.calibration import estimate_shares

    manifest = model.manifest()
    found = [np.empty((len(manifest["classes"]), 0))]
    with tqdm(desc="estimate", unit=" rows", unit_scale=True, disable=None) as progress:
        for _, errors, predicted in predictions(table, model, workers=workers):
            kept = [[value for value in column if value is not None] for column in predicted[2:]]
            found.append(np.array(kept, dtype=np.float64))
            progress.update(len(errors))
    probabilities = np.concatenate(found, axis=1).T
    before = np.array(manifest["class_shares"])
    now = estimate_shares(probabilities, before) if len(probabilities) else before
    return json.dumps(dict(zip(manifest["classes"], now.tolist(), strict=True)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("predict", __doc__, example="reviews.csv labelled.csv --text-column review")
    parser.add_argument(
        "input", type=command.file, help="CSV, JSON lines (.jsonl) or Parquet file, UTF-8; - for standard input"
    )
    parser.add_argument("output", type=command.file, help="file to write, of the same format; - for standard output")
    parser.add_argument("--text-column", default="text", help="column that holds the texts (default: text)")
    parser.add_argument(
        "--model",
        type=command.model,
        default="champion",
        help="alias or version of the registered model, or a folder (default: champion)",
    )
    parser.add_argument("--format", choices=("csv", "jsonl", "parquet"), help="where the names do not tell it")
    parser.add_argument("--workers", type=int, default=cores(), help="processes (default: one for each core)")
    parser.add_argument(
        "--class-shares",
        default="",
        metavar="SHARES",
        help="other than in training: 'estimate', or each class's, such as '{\"sad\": 0.2, \"glad\": 0.8}'",
    )
    options = parser.parse_args(arguments)
    if options.workers < 1:
        raise PipelineError(f"--workers must be 1 or more, got {options.workers}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no half file is left
    counts, name = label(options)
    errors = sum(rows for error, rows in counts.items() if error)
    said = "".join(f"; {rows:,} rows: {error}" for error, rows in sorted(counts.items()) if error)
    print(
        f"{counts.total() - errors:,} rows of {options.input} labelled by {name}: {options.output}{said}",
        file=sys.stderr if options.output == "-" else sys.stdout,
    )


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def label(options: argparse.Namespace) -> tuple[Counter[str], str]:
    """Do what the command line says; rows by what was wrong with them, and the model's name."""
    kind = kind_of(options.input, options.format)
    if kind != kind_of(options.output, options.format or (kind if options.output == "-" else None)):
        raise PipelineError(f"{options.output} must be of the format of {options.input}, {kind}; or set --format")

    def opened(stack: ExitStack) -> Table:
        source: BinaryIO = sys.stdin.buffer
        if options.input != "-":
            source = stack.enter_context(Path(options.input).open("rb"))  # noqa: SIM115
        return open_table(kind, source, options.input, options.text_column)

    estimate = options.class_shares == "estimate"
    if estimate and options.input == "-":
        raise PipelineError("--class-shares estimate reads the texts twice; name a file instead of standard input")
    try:
        with ExitStack() as stack:
            table = opened(stack)  # before the model, which takes longer
            model = stack.enter_context(open_model(options.model))
            shares = checked_shares(model, options.class_shares)
            if estimate:
                with ExitStack() as first:
                    shares = estimated_shares(opened(first), model, workers=options.workers)
            if options.output == "-":
                target: BinaryIO = sys.stdout.buffer
            else:
                target = stack.enter_context(stack.enter_context(atomic(Path(options.output).resolve())).open("wb"))
            counts = predict_table(table, target, model, workers=options.workers, class_shares=shares)
            return counts, model.name
    except OSError as error:
        raise PipelineError(f"{error.filename or options.output} cannot be used: {error.strerror}") from error


def checked_shares(model: OpenedModel, class_shares: str) -> str:
    """The shares given on the command line, if the model can use them."""
    manifest = model.manifest()
    if class_shares and "class_shares" not in manifest:
        raise PipelineError(f"{model.name} is older than --class-shares and would ignore it; train it anew")
    if class_shares and class_shares != "estimate":
        try:
            read_shares(class_shares, manifest["classes"])
        except ValueError as error:
            raise PipelineError(f"--{error}".replace("class_shares", "class-shares", 1)) from error
    return class_shares
