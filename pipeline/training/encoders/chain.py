"""The part that all networks share: from vectors through an LSTM to class logits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

LSTM_OPTIONS = ("units", "bidirectional", "pooling", "dropout")  # arguments of `classify` that are parameters of train


def classify(vectors: Any, *, num_classes: int, units: int, bidirectional: bool, pooling: str, dropout: float) -> Any:
    """Add LSTM, pooling, dropout and output layer to a network.

    Parameters
    ----------
    vectors : KerasTensor of shape (n_rows, length, width), float32
        With a mask for padding.
    num_classes, units, bidirectional, pooling, dropout
        See `text.build`.

    Returns
    -------
    KerasTensor of shape (n_rows, num_classes), float32
        Logits.
    """
    import keras

    from ..layers import LSTM, Dropout, Pooling

    lstm = LSTM(units, return_sequences=pooling != "last", name="lstm")
    states = (keras.layers.Bidirectional(lstm, name="bidirectional") if bidirectional else lstm)(vectors)
    summary = states if pooling == "last" else Pooling(pooling, name="pooling")(states)
    summary = Dropout(dropout, seed=2, name="dropout")(summary)
    return keras.layers.Dense(num_classes, name="logits")(summary)


@dataclass(frozen=True)
class Layers:
    """The layers of a network that an encoder built.

    Parameters
    ----------
    embedding : keras.layers.Embedding or None
        None for frames.
    embedding_dropout : Layer or None
        Dropout after the embedding; None for frames.
    lstms : tuple of LSTM
        Forward LSTM and, if the network is bidirectional, backward LSTM.
    pooling : {"last", "max", "mean", "max_mean"}
        How the states are pooled.
    dense : keras.layers.Dense
        Output layer.
    """

    embedding: Any
    embedding_dropout: Any
    lstms: tuple[Any, ...]
    pooling: str
    dense: Any

    @classmethod
    def of(cls, model: "keras.Model") -> "Layers":
        """Find the layers by their types."""
        from keras.layers import LSTM, Bidirectional, Dense, Embedding

        from ..layers import Dropout, Pooling

        def first(kind: type[Any]) -> Any:
            return next((layer for layer in model.layers if isinstance(layer, kind)), None)

        embedding, bidirectional, pooling = first(Embedding), first(Bidirectional), first(Pooling)
        lstms = (bidirectional.forward_layer, bidirectional.backward_layer) if bidirectional else (first(LSTM),)
        dropout = first(Dropout) if embedding else None
        return cls(embedding, dropout, lstms, pooling.kind if pooling else "last", first(Dense))
