"""The network for frames, rows of numbers such as those of a recording, to class logits."""

from typing import TYPE_CHECKING, Any

from ...base.modalities import Processor
from ..settings import Train
from .chain import LSTM_OPTIONS, classify

if TYPE_CHECKING:
    import keras


def options(processor: Processor, num_classes: int, settings: Train, *, width: int) -> dict[str, Any]:
    """Return the arguments of `build`, which a model folder stores in its manifest.

    Parameters
    ----------
    processor : Processor
        Unused: frames have the same width for every fitted processor.
    num_classes : int
        Number of classes.
    settings : Train
        Section `train` of the parameters.
    width : int
        Numbers per frame.
    """
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

    Parameters
    ----------
    width : int
        Numbers per frame.
    num_classes, units, bidirectional, pooling, dropout
        See `text.build`.

    Returns
    -------
    keras.Model
        From float32 frames of shape (n_rows, length, width), right-padded with 0, to float32 logits of shape
        (n_rows, num_classes).
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
