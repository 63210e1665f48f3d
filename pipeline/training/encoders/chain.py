"""What all networks have in common: vectors through an LSTM to class logits; and the layers of such a network."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

LSTM_OPTIONS = ("units", "bidirectional", "pooling", "dropout")  # of `classify`, by their names under train


def classify(vectors: Any, *, num_classes: int, units: int, bidirectional: bool, pooling: str, dropout: float) -> Any:
    """Return the logits of masked vectors of shape (n_rows, length, width); parameters as in `text.build`."""
    import keras

    from ..layers import LSTM, Dropout, Pooling

    lstm = LSTM(units, return_sequences=pooling != "last", name="lstm")
    states = (keras.layers.Bidirectional(lstm, name="bidirectional") if bidirectional else lstm)(vectors)
    summary = states if pooling == "last" else Pooling(pooling, name="pooling")(states)
    summary = Dropout(dropout, seed=2, name="dropout")(summary)
    return keras.layers.Dense(num_classes, name="logits")(summary)


@dataclass(frozen=True)
class Layers:
    """The layers of a network that an encoder built, whatever they are called.

    Parameters
    ----------
    embedding : keras.layers.Embedding or None
        None where the network reads frames.
    embedding_dropout : Layer or None
        What follows the embedding.
    lstms : tuple of LSTM
        The one that reads from the start and, where the network is bidirectional, the one from the end.
    pooling : {"last", "max", "mean", "max_mean"}
        What the classes are predicted from.
    dense : keras.layers.Dense
        Gives the logits.
    """

    embedding: Any
    embedding_dropout: Any
    lstms: tuple[Any, ...]
    pooling: str
    dense: Any

    @classmethod
    def of(cls, model: "keras.Model") -> "Layers":
        """Find them by their types."""
        from keras.layers import LSTM, Bidirectional, Dense, Embedding

        from ..layers import Dropout, Pooling

        def first(kind: type[Any]) -> Any:
            return next((layer for layer in model.layers if isinstance(layer, kind)), None)

        embedding, both, pooling = first(Embedding), first(Bidirectional), first(Pooling)
        lstms = (both.forward_layer, both.backward_layer) if both else (first(LSTM),)
        dropout = first(Dropout) if embedding else None
        return cls(embedding, dropout, lstms, pooling.kind if pooling else "last", first(Dense))
