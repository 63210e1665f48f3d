"""Model folders of small text models, as training writes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.inference.calibration import Calibration
from pipeline.inference.ngrams import Ngrams
from pipeline.inference.priors import ClassPriors
from pipeline.text.processor import Tokenizer
from pipeline.training import export


def save_text_model(
    folder: Path,
    model: Any,
    tokenizer: Tokenizer,
    ngrams: Ngrams | None,
    *,
    classes: Sequence[str],
    network: dict[str, Any],
    calibration: Calibration,
    class_shares: Sequence[float],
    class_priors: ClassPriors | None = None,
    state: str,
    columns: Sequence[str | int] = ("text",),
) -> None:
    """Write a model folder; `network` holds the arguments of `text.build`, the others are those of `export.save`."""
    export.save(
        folder,
        {"text": export.TrainedNetwork(model, network)},
        {"text": tokenizer},
        ngrams,
        classes=classes,
        calibration=calibration,
        class_shares=class_shares,
        class_priors=class_priors,
        columns={"text": list(columns)},
        state=state,
    )
