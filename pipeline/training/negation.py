"""Training rows made from templates, from which the LSTM learns that a negator turns the polarity round.

Most data have too few negated words for it: "not bad at all" was negative to a model of 25,000 tweets. The rows are
added to the training rows of texts with one class known as positive and one known as negative, in the languages below.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..text.polarity import polarity

SHARE, MAX_ROWS = 0.1, 3_000  # rows added per training row, and at most


class Templates(NamedTuple):
    """What the rows of a language are made of; the words of each are separated by bars.

    The behavioural tests of `evaluation` have other subjects and words.
    """

    subjects: str
    positive: str
    negative: str
    plain: str  # forms with gaps for a subject and a word
    negated: str


_TEMPLATES = {
    "en": Templates(
        "the film is|i think they are|her answer was|my new phone is|their service was|the food is|the room was|he is|"
        "your idea is|the price is|the last game was|to be honest this place is",
        "lovely|brilliant|perfect|superb|enjoyable|pleasant|impressive|useful|funny|easy|interesting|clean|friendly|"
        "fresh|reliable|beautiful|worth the money|a pleasure",
        "poor|boring|useless|annoying|disgusting|ugly|stupid|dull|unpleasant|dreadful|dirty|rude|slow|broken|difficult|"
        "sad|a waste of time|a mess",
        "{} {}|{} {}.|{} so {}|{} really {}!",
        "{} not {}|{} not {}.|{} not {} at all|{} not {} at all.|{} not really {}.|{} not that {}|{} never {}.|"
        "{} not even {}!",
    ),
    "zh": Templates(
        "这部电影|这家店|房间|手机|物流|味道|他的态度|价格|包装|屏幕|这本书|客服",
        "漂亮|舒服|精彩|方便|干净|好用|好吃|实惠|新鲜|热情|专业|值得",
        "难看|难吃|脏|无聊|慢|贵|粗糙|难用|吵|麻烦|过分|敷衍",
        "{}{}|{}很{}。|{}真{}！|{}特别{}。",
        "{}不{}|{}不{}。|{}并不{}。|{}一点也不{}。|{}一点都不{}|{}不太{}|{}不算{}。|{}没有那么{}。",
    ),
}


def negation_rows(classes: Sequence[str], language: str, training_rows: int) -> tuple[list[str], np.ndarray]:
    """Return clean texts, plain and negated in equal numbers, and their class numbers.

    Parameters
    ----------
    classes : sequence of str
        Class names.
    language : str
        Two letters.
    training_rows : int
        Number of training rows, which limits that of these rows.

    Returns
    -------
    texts : list of str
        Empty for another language, and unless one class is positive and one is negative, see `polarity`.
    labels : ndarray of shape (n_texts,), int32

    Examples
    --------
    >>> texts, labels = negation_rows(["negative", "positive"], "en", 40)
    >>> labels.tolist(), texts[3]
    """
    polarities = [polarity(name) for name in classes]
    if language not in _TEMPLATES or (polarities.count("positive"), polarities.count("negative")) != (1, 1):
        return [], np.zeros(0, dtype=np.int32)
    positive, negative = (polarities.index(name) for name in ("positive", "negative"))
    subjects, good, bad, plain, negated = (options.split("|") for options in _TEMPLATES[language])
    count = min(round(SHARE * training_rows), MAX_ROWS) // 4
    random = np.random.default_rng(0)
    texts: list[str] = []
    labels: list[int] = []
    for (frames, turned), words in product(((plain, False), (negated, True)), (good, bad)):
        every = [frame.format(subject, word) for frame, subject, word in product(frames, subjects, words)]
        chosen = [every[number] for number in random.permutation(len(every))[:count]]
        texts += chosen
        labels += [positive if (words is good) != turned else negative] * len(chosen)
    return texts, np.array(labels, dtype=np.int32)
