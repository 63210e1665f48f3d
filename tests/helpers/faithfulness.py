"""Whether the words that an explanation names matter to the prediction."""

from pathlib import Path

import numpy as np

from pipeline.evaluation.explanation import Explainer
from pipeline.inference.predictor import Predictor


def faithfulness(folder: Path, texts: list[str]) -> tuple[float, float, float]:
    """How much more of the predicted class's probability goes with the words that add most to it than with random ones.

    A fifth of the words of each text, one at least. Gives the mean and its 95 % interval over the texts (Efron 1979).
    """
    predictor = Predictor.load(folder)
    explainer, random = Explainer.from_predictor(predictor, folder), np.random.default_rng(0)
    rows, before = np.arange(len(texts)), predictor.probabilities(texts)
    best = before.argmax(axis=1)
    top, any_ = [], []
    for text, number in zip(texts, best, strict=True):
        result = explainer.explain(text)
        count = max(1, round(0.2 * len(result.words)))
        chosen = np.argsort(-result.contributions[:, number])[:count]
        for words, into in ((chosen, top), (random.choice(len(result.words), count, replace=False), any_)):
            characters = list(result.text)
            for start, end in (result.spans[word] for word in words):
                characters[start:end] = [""] * (end - start)
            into.append("".join(characters))
    kept = [predictor.probabilities(each)[rows, best] for each in (any_, top)]
    gains = kept[0] - kept[1]
    means = [gains[random.integers(len(gains), size=len(gains))].mean() for _ in range(1_000)]
    return float(gains.mean()), *(float(each) for each in np.percentile(means, [2.5, 97.5]))
