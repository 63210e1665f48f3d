"""Titles of metrics, parts and baselines in tables for people."""

from ..evaluation.text import baselines

METRICS = {
    "accuracy": "accuracy",
    "accuracy_with_conflicts": "accuracy, conflicting rows left in",
    "accuracy_without_near_copies": "accuracy, without near copies of training rows",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "weighted_f1": "weighted F1",
    "mcc": "Matthews' correlation",
    "roc_auc": "ROC-AUC, mean of the classes",
    "pr_auc": "average precision, mean of the classes",
    "loss": "loss, nats (lower is better)",
    "ece": "calibration error, ECE (lower is better)",
    "classwise_ece": "class-wise calibration error (lower is better)",
}
# For columns.
SHORT_METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "mcc": "MCC", "loss": "loss (nats)", "ece": "ECE"}
CLASS_METRICS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "pr_auc": "avg. precision",
}
PARTS = {
    "lstm": "LSTM",
    "tfidf": "TF-IDF n-grams",
    "nb": "naive Bayes n-grams",
    "tfidf_words": "TF-IDF of words",
    "lexicon": "lexicon",
}
BASELINES = baselines.BASELINE_TITLES


def part_title(name: str) -> str:
    """Return the title of a part by its name in metrics.

    >>> part_title("nb"), part_title("speech_lstm")
    ('naive Bayes n-grams', 'speech LSTM')
    """
    return PARTS.get(name) or name.replace("_lstm", " LSTM")


def alone_title(name: str) -> str:
    """Return the title of a model with some of its parts only, by its name in metrics.

    >>> alone_title("lstm"), alone_title("without_lstm")
    ('LSTM only', 'without the LSTM')
    """
    part = part_title(name.removeprefix("without_"))
    return f"without the {part}" if name.startswith("without_") else f"{part} only"
