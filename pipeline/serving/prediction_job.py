"""Prediction of whole tables: rows are read, predicted and written a chunk at a time, in one process or several."""

import json
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, BinaryIO

from tqdm import tqdm

from ..base.characters import without_invisible
from ..base.modalities import modality
from ..base.process import worker_pool
from ..data.readers.streams import TableStream, UnreadableRow
from ..inference.manifest import modalities
from ..inference.part import Rows
from ..registry.models import OpenedModel, Predict, Predicted

CHUNK = 4_096  # rows that a process predicts at once
READ_AHEAD = 3  # chunks for each process
_SURROGATE = re.compile("[\ud800-\udfff]")

# Takes rows, and returns a function that waits for their predictions.
SubmitRows = Callable[[Rows], Callable[[], Predicted]]
PredictedChunk = tuple[Any, list[str | None], Predicted]  # a chunk, an error or None for each row, and predictions


def cell_error(cell: Any, name: str = "text", clean: Callable[[str], str] | None = None) -> str | None:
    """Return why a raw cell of a modality cannot be predicted; None if it can.

    `clean` is the function of that modality.

    >>> cell_error(3)
    'the text is not a string'
    """
    if isinstance(cell, UnreadableRow):
        return str(cell)
    if cell is None:
        return f"the {name} is missing"
    if not isinstance(cell, str):
        return f"the {name} is not a string"
    if not cell.isascii() and _SURROGATE.search(cell):
        return f"the {name} is not valid UTF-8"
    first = cell.lstrip()[:1]
    # Only a text that begins with markup, an entity, an escape or what nobody sees, also as mojibake, can be empty once
    # cleaned; cleaning is slow.
    suspect = name != "text" or first in "<&\\ïâÂ" or not (first.isprintable() and without_invisible(first).strip())
    if not first or (suspect and not (clean or modality(name).clean)(cell)):
        return f"the {name} is empty"
    return None


def row_errors(cells: Mapping[str, list[Any]]) -> list[str | None]:
    """Return for each row the error of its first cell that has one; None for a row that can be predicted."""
    by_modality = []
    for name, column in cells.items():
        clean = modality(name).clean
        by_modality.append([cell_error(cell, name, clean) for cell in column])
    if len(by_modality) == 1:
        return by_modality[0]
    return [next(filter(None, errors), None) for errors in zip(*by_modality, strict=True)]


@contextmanager
def predictor_processes(model: OpenedModel, workers: int, class_shares: str) -> Iterator[SubmitRows]:
    """Yield a function that submits rows: this process predicts if `workers` is 1, otherwise as many other ones do.

    The other processes have one thread each.
    """
    if workers == 1:
        predict = model.load()

        def predict_now(rows: Rows) -> Callable[[], Predicted]:
            predicted = predict(rows, class_shares)
            return lambda: predicted

        yield predict_now
        return
    with worker_pool(workers, _load_in_worker, model) as pool:
        yield lambda rows: pool.submit(_predict_in_worker, rows, class_shares).result


_loaded: dict[str, Predict] = {}  # in a worker process


def _load_in_worker(model: OpenedModel) -> None:
    _loaded["model"] = model.load()


def _predict_in_worker(rows: Rows, class_shares: str) -> Predicted:
    return _loaded["model"](rows, class_shares)


def predictions(
    table: TableStream, model: OpenedModel, *, workers: int, class_shares: str = ""
) -> Iterator[PredictedChunk]:
    """Yield the chunks of a table in their order, with the error of each row, and predictions, None where there is one.

    Parameters
    ----------
    table : TableStream
        Just opened, with a column for each modality of the model.
    model : OpenedModel
        What predicts.
    workers : int
        Processes; one if the table has one chunk, since starting others takes longer than predicting it.
    class_shares : str
        As in `Predictor.probabilities`, but not "estimate".
    """
    chunks = table.chunks(CHUNK)
    first = list(islice(chunks, 2))
    pending: deque[tuple[Any, list[str | None], Callable[[], Predicted]]] = deque()
    with predictor_processes(model, workers if len(first) > 1 else 1, class_shares) as submit:
        for chunk, cells in chain(first, chunks):
            errors = row_errors(cells)
            rows = {name: _without_errors(column, errors) for name, column in cells.items()}
            pending.append((chunk, errors, submit(rows)))
            if len(pending) > READ_AHEAD * workers:
                yield _collected(*pending.popleft())
        while pending:
            yield _collected(*pending.popleft())


def _without_errors(column: list[Any], errors: list[str | None]) -> list[str]:
    return [cell for cell, error in zip(column, errors, strict=True) if error is None]


def _collected(chunk: Any, errors: list[str | None], result: Callable[[], Predicted]) -> PredictedChunk:
    """Wait for a chunk's predictions; put None where a row has an error."""
    predicted = result()
    if any(errors):
        columns = [iter(column) for column in predicted]
        predicted = [[None if error else next(column) for error in errors] for column in columns]
    return chunk, errors, predicted


def predict_table(
    table: TableStream, target: BinaryIO, model: OpenedModel, *, workers: int = 1, class_shares: str = ""
) -> Counter[str]:
    """Write a table to `target` with `predicted_label`, `confidence`, `p_<class>`, `known_words` and `error` added.

    The parameters are those of `predictions`. A row with an error has no values in the other new columns.

    Returns
    -------
    Counter
        Rows by error; "" for those predicted.
    """
    manifest = model.manifest()
    numbers = ["confidence", *(f"p_{name}" for name in manifest["classes"])]
    words = {"known_words": int} if "text" in modalities(manifest) else {}
    added = {"predicted_label": str, **dict.fromkeys(numbers, float), **words, "error": str}
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


def estimated_class_shares(table: TableStream, model: OpenedModel, *, workers: int = 1) -> tuple[str, str]:
    """Estimate the class shares of all rows of a table, see `priors.estimate_class_priors`.

    Parameters
    ----------
    table, model, workers
        As in `predictions`. The model has `class_priors`.

    Returns
    -------
    class_shares : str
        As JSON; "" if predictions stay unchanged.
    sentence : str
        What was found, for the user.
    """
    import numpy as np

    from ..inference.priors import estimate_class_priors

    manifest = model.manifest()
    classes, known = manifest["classes"], manifest["class_priors"]
    if not known["estimable"]:
        return "", "class shares: not estimated, as this made predictions of validation rows worse; nothing is changed"
    blocks = [np.empty((len(classes), 0))]  # (n_classes, n_rows) each
    with tqdm(desc="estimate", unit=" rows", unit_scale=True, disable=None) as progress:
        for _, errors, predicted in predictions(table, model, workers=workers):
            columns = [[value for value in column if value is not None] for column in predicted[2 : 2 + len(classes)]]
            blocks.append(np.array(columns, dtype=np.float64))
            progress.update(len(errors))
    probabilities = np.concatenate(blocks, axis=1).T
    estimate = estimate_class_priors(probabilities, known)
    if not estimate.significant:
        return "", (
            f"class shares: those of {len(probabilities):,} rows do not differ significantly from those of the "
            f"validation rows (p = {estimate.p_value:.2g}); predictions are unchanged"
        )
    shares = dict(zip(classes, estimate.priors.tolist(), strict=True))
    pairs = zip(shares.items(), known["natural"], strict=True)
    changes = [f"{name} {now:.1%} ({before:.1%})" for (name, now), before in pairs]
    return json.dumps(shares), f"class shares, estimated (of validation rows): {', '.join(changes)}"
