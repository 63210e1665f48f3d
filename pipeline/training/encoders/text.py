"""The network for texts: from token ids to class logits."""

from typing import TYPE_CHECKING, Any

from ...text.processor import Tokenizer
from ..settings import Train
from .chain import LSTM_OPTIONS, classify

if TYPE_CHECKING:
    import keras


def options(tokenizer: Tokenizer, num_classes: int, settings: Train) -> dict[str, Any]:
    """Return the arguments of `build`, which a model folder stores in its manifest."""
    keys = ("embedding_dim", *LSTM_OPTIONS[:-1], "embedding_dropout", "dropout")
    return {"num_ids": tokenizer.num_ids, "num_classes": num_classes, **{key: getattr(settings, key) for key in keys}}


def build(
    *,
    num_ids: int,
    num_classes: int,
    embedding_dim: int,
    units: int,
    bidirectional: bool = False,
    pooling: str = "last",
    embedding_dropout: float = 0.0,
    dropout: float = 0.0,
) -> "keras.Model":
    """Build Embedding -> LSTM -> Dense (Hochreiter and Schmidhuber 1997, "Long Short-Term Memory").

    Padding is masked: it changes no result.

    Parameters
    ----------
    num_ids : int
        Number of token ids, including padding and unknown.
    num_classes : int
        Number of classes.
    embedding_dim : int
        Size of the vector of a token.
    units : int
        Size of the state of the LSTM, in each direction.
    bidirectional : bool
        Whether a second LSTM reads the text backwards (Graves and Schmidhuber 2005).
    pooling : {"last", "max", "mean", "max_mean"}
        How the states are pooled: the last one, or as in `layers.Pooling`.
    embedding_dropout, dropout : float
        Share of the values dropped in training, after the embedding and before the output layer.

    Returns
    -------
    keras.Model
        From int32 ids of shape (n_rows, length), right-padded with 0, to float32 logits of shape
        (n_rows, num_classes).
    """
    import keras

    from ..layers import Dropout

    ids = keras.Input((None,), dtype="int32", name="ids")
    vectors = keras.layers.Embedding(num_ids, embedding_dim, mask_zero=True, name="embedding")(ids)
    vectors = Dropout(embedding_dropout, seed=1, name="embedding_dropout")(vectors)
    logits = classify(
        vectors,
        num_classes=num_classes,
        units=units,
        bidirectional=bidirectional,
        pooling=pooling,
        dropout=dropout,
    )
    return keras.Model(ids, logits)
