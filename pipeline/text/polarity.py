"""The polarity of a class, from its name."""

import re

# Names of classes whose polarity is unambiguous. Numbers are not among them: 1 may stand for anything.
_NAMES = {
    "positive": "positive pos good happy happiness joy love like admiration amusement approval caring excitement "
    "gratitude optimism pride relief enthusiasm fun 4star 5star 正面 正向 积极 好评 喜悦 高兴 开心 快乐 喜欢 "
    "4星 5星 四星 五星",
    "neutral": "neutral neu 3star 中性 中立 中评 3星 三星",
    "negative": "negative neg bad sad sadness anger angry fear disgust hate dislike worry annoyance disappointment "
    "disapproval embarrassment grief nervousness remorse 1star 2star 负面 负向 消极 差评 愤怒 生气 悲伤 难过 厌恶 讨厌 "
    "恐惧 害怕 1星 2星 一星 二星",
}
_POLARITY = {name: polarity for polarity, names in _NAMES.items() for name in names.split()}
_DEGREE = re.compile(r"^(?:very|extremely|strongly|mostly|slightly|somewhat|weakly|非常)")


def polarity(name: str) -> str | None:
    """Return "positive", "neutral" or "negative" for the name of a class; None if unknown.

    Case, separators, a preceding degree ("very_negative") and the plural of stars are ignored.

    >>> polarity("Very_Negative"), polarity("5 stars"), polarity("surprise")
    ('negative', 'positive', None)
    """
    word = re.sub(r"[\s_-]+", "", name).lower()
    word = re.sub(r"stars$", "star", _DEGREE.sub("", word))
    return _POLARITY.get(word)
