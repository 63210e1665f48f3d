"""Training rows made from templates, from which a model learns that a negator turns the polarity round.

Most data have too few negated words for it: "not bad at all" was negative to a model of 25,000 tweets. The rows are
added to the training rows of texts with one class known as positive and one known as negative, in the languages below.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..text.polarity import polarity

SHARE, MAX_ROWS = 0.1, 2_400  # rows added per training row, and at most


class Templates(NamedTuple):
    """What the rows of a language are made of; the words of each are separated by bars.

    The behavioural tests of `evaluation` have other subjects and words.
    """

    subjects: str
    positive: str
    negative: str
    neutral: str  # neutral if there is such a class; negative where they are negated
    plain: str  # forms with gaps for a subject and a word
    negated: str


_TEMPLATES = {
    "en": Templates(
        "the film is|i think they are|her answer was|my new phone is|their service was|the food is|the room was|he is|"
        "your idea is|the price is|the last game was|to be honest this place is",
        "lovely|brilliant|perfect|superb|enjoyable|pleasant|impressive|useful|funny|easy|interesting|clean|friendly|fresh|"
        "reliable|beautiful|clever|exciting|delicious|comfortable|fair|honest|strong|smart|sweet|cute|cool|happy|glad|fun|"
        "safe|bright|calm|charming|convincing|creative|elegant|entertaining|fast|generous|gorgeous|healthy|hilarious|kind|"
        "memorable|polite|powerful|quick|relaxing|satisfying|special|stunning|successful|talented|touching|valuable|warm|"
        "wise|awesome|fabulous|terrific|outstanding|magnificent|marvellous|decent|ideal|handy|supportive|worthwhile|"
        "recommended|the best|better|epic|what i hoped for|worth the money|a pleasure|a success|my favourite",
        "poor|boring|useless|annoying|disgusting|ugly|stupid|dull|unpleasant|dreadful|dirty|rude|slow|broken|difficult|sad|"
        "angry|painful|pathetic|ridiculous|weak|wrong|noisy|messy|nasty|scary|dangerous|depressing|expensive|fake|gross|"
        "harmful|hopeless|insulting|lame|lazy|mean|mediocre|offensive|overrated|pointless|predictable|shameful|silly|"
        "sloppy|sick|terrifying|tedious|tragic|unfair|unreliable|upset|weird|worthless|horrid|atrocious|appalling|abysmal|"
        "lousy|crap|garbage|rubbish|shocking|worse|evil|disastrous|upsetting|frustrating|unacceptable|irritating|"
        "a nightmare|a pain|an issue|a waste of time|a mess|a joke|a disaster|a shame",
        "as described|working|ready|for me|what they promised|how i imagined it|up to it|available|included|here yet|"
        "like in the picture|the same as before|made for this|our thing|enough|new|done yet|possible|true|what it was",
        "{} {}|{} {}.|{} so {}|{} really {}!",
        "{} not {}|{} not {}.|{} not {} at all|{} not {} at all.|{} not really {}.|{} not that {}|{} never {}.|"
        "{} not even {}!",
    ),
    "zh": Templates(
        "这部电影|这家店|房间|手机|物流|味道|他的态度|价格|包装|屏幕|这本书|客服",
        "漂亮|舒服|精彩|方便|干净|好用|好吃|实惠|新鲜|热情|专业|值得|可靠|美味|有趣|舒适|划算|清楚|结实|负责|细心|精致|耐用|流畅",
        "难看|难吃|脏|无聊|慢|贵|粗糙|难用|吵|麻烦|过分|敷衍|难闻|笨重|模糊|拥挤|冷淡|傲慢|低劣|廉价|危险|虚假|枯燥|恶心",
        "一样|合适|够|到位|符合描述|能用|可以|是我要的|像图片那样",
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
    >>> texts, labels = negation_rows(["negative", "positive"], "en", 60)
    >>> labels.tolist(), texts[3]
    ([1, 0, 0, 1, 0], 'their service was not rude.')
    """
    polarities = [polarity(name) for name in classes]
    if language not in _TEMPLATES or (polarities.count("positive"), polarities.count("negative")) != (1, 1):
        return [], np.zeros(0, dtype=np.int32)
    positive, negative = (polarities.index(name) for name in ("positive", "negative"))
    subjects, good, bad, other, plain, negated = (options.split("|") for options in _TEMPLATES[language])
    neutral = polarities.index("neutral") if polarities.count("neutral") == 1 else None
    count = min(round(SHARE * training_rows), MAX_ROWS) // 6
    random = np.random.default_rng(0)
    texts: list[str] = []
    labels: list[int] = []
    for forms, words, label in (
        (plain, good, positive),
        (plain, bad, negative),
        (plain, other, neutral),
        (negated, good, negative),
        (negated, bad, positive),
        (negated, other, negative),
    ):
        if label is None:
            continue
        every = [form.format(subject, word) for form, subject, word in product(forms, subjects, words)]
        chosen = [every[number] for number in random.permutation(len(every))[:count]]
        texts += chosen
        labels += [label] * len(chosen)
    return texts, np.array(labels, dtype=np.int32)
