"""The network of frames: rows of numbers, such as those of a recording, to class logits."""

from typing import TYPE_CHECKING, Any

from ...base.modalities import Processor
from ..settings import Train
from .chain import LSTM_OPTIONS, classify

if TYPE_CHECKING:
    import keras


def options(processor: Processor, num_classes: int, settings: Train, *, width: int) -> dict[str, Any]:
    """Return what `build` is given, for frames of so many numbers."""
    return {"width": width, "num_classes": num_classes, **{key: getattr(settings, key) for key in LSTM_OPTIONS}}


def build(
    *,
    width: int,
    num_classes: int,
    units: int,
    bidirectional: bool = False,
    pooling: str = "last",
    dropout: float = 0.0,
) -> "keras.Model":
    """Build LSTM -> Dense over frames; frames of zeros are padding, which changes no result.

    Returns
    -------
    keras.Model
        From float32 frames of shape (n_rows, length, width), right-padded with 0, to float32 logits of shape
        (n_rows, num_classes); the other parameters are those of `text.build`.
    """
    import keras

    frames = keras.Input((None, width), dtype="float32", name="frames")
    masked = keras.layers.Masking(0.0, name="masking")(frames)
    logits = classify(
        masked,
        num_classes=num_classes,
        units=units,
        bidirectional=bidirectional,
        pooling=pooling,
        dropout=dropout,
    )
    return keras.Model(frames, logits)
