"""The model, how it was trained, and what it costs."""

from collections.abc import Mapping
from typing import Any

from ...base.markdown import pipe_table
from ...training.strategies import STRATEGIES
from ..facts import Facts
from ..titles import part_title


def training(facts: Facts) -> list[str]:
    """Return architecture and settings."""
    settings, network, strategy = facts.training, facts.manifest["network"], facts.rebalance["strategy"]
    weights = facts.metrics["weights"]
    rows = [
        ("preset", f"`{settings['preset']}`"),
        _input_layer(network),
        ("LSTM", f"{network['units']} units{' in each direction' if network['bidirectional'] else ''}"),
        ("pooling of the states", network["pooling"].replace("_", " and ")),
        (
            "dropout",
            " ".join([*_embedding_dropout(network), f"{network['dropout']:g} before the output layer"]),
        ),
        (
            "language-model pretraining",
            f"{settings['pretraining_epochs']} epochs" if settings["pretraining_epochs"] else "no",
        ),
        (
            "adversarial training",
            f"perturbation of length {settings['adversarial']:g}" if settings["adversarial"] else "no",
        ),
        ("optimiser", f"Adam, learning rate {settings['learning_rate']:g}, batch size {settings['batch_size']}"),
        (
            "epochs",
            f"{facts.epochs} of at most {settings['epochs']}; epoch {facts.best_epoch} kept, by validation loss",
        ),
        ("rebalancing", f"`{strategy}`: {STRATEGIES[strategy].description}"),
        ("seed, threads", f"{settings['seed']}, {settings['threads']}"),
    ]
    if len(weights) > 1:
        rows.append(
            ("weights of the parts", ", ".join(f"{part_title(part)} {weight:.2f}" for part, weight in weights.items()))
        )
    parts = "an LSTM" + (" and linear models of n-grams together" if "n-grams" in facts.num_weights else "")
    return [f"The model is {parts}.", pipe_table(("", ""), rows)]


def _input_layer(network: Mapping[str, Any]) -> tuple[str, str]:
    if "num_ids" in network:
        return "embedding", f"{network['num_ids']:,} ids, {network['embedding_dim']} dimensions"
    return "input", f"frames of {network['width']} numbers"


def _embedding_dropout(network: Mapping[str, Any]) -> list[str]:
    return [f"{network['embedding_dropout']:g} of the embedding,"] if "embedding_dropout" in network else []


def cost(facts: Facts, seconds: float | None) -> list[str]:
    """Return size and training effort."""
    rows = [(f"trained weights, {part}", f"{number:,}") for part, number in facts.num_weights.items()]
    rows.append(("model folder", f"{sum(facts.file_sizes.values()) / 1e6:,.1f} MB"))
    rows.append(("epochs trained", f"{facts.epochs}"))
    if seconds is not None:
        rows.append(("training time", f"{seconds:,.0f} s"))
    return [pipe_table(("", ""), rows, right=1), "Neither training nor prediction needs a GPU."]
