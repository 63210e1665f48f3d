"""Which languages lines are in, by the most frequent words of ASCII letters."""

import re
from collections.abc import Iterable

import numpy as np

WORD = re.compile(rb"[A-Za-z\x80-\xff]+")
UNLISTED = 3e-4  # likelihood of a word in a language that does not list it
LEAST = 0.05  # of this share of the lines it is not asked which language they are in
# The most frequent ones first. Chosen with the word frequencies of wordfreq 3.1 (Speer 2022).
FREQUENT_WORDS = {
    "Polish": (
        "w i nie na to z do jest o jak a ale co tak za od po dla tym czy przez tego ma tylko mi mnie ze bo ja ten oraz "
        "bardzo jego by sobie ich mam roku jeszcze jako"
    ),
    "Czech": (
        "a se v na je to s z si do jsem ale o i tak pro ve za co k jako jak po by od jsou mi jen nebo byl bude u jsme "
        "ty jeho bylo aby ze byla ani"
    ),
    "Slovak": (
        "a v sa na je to z s ako aj o si do som ale po za tak od bol by pre ak k alebo nie sme ich len vo aby pri jeho "
        "bola bude bolo jej so roku ho"
    ),
    "Hungarian": (
        "a az nem hogy egy is de meg csak ha van volt ez vagy kell el ki azt most akkor mint ezt minden mert magyar "
        "nagyon olyan itt mi sem lesz lehet vagyok majd es nagy be nincs aki fel"
    ),
    "Slovene": (
        "je in v na se da so za ki pa z tudi lahko s ne kot po iz bi bo od tako to pri ali o bil do ni med vse jih ko "
        "kar ga si smo bila leta sem"
    ),
    "Croatian": (
        "je u i da se na od za su a ne sa iz to kao o godine koji kako bi ali nije po s do sve bio ili sam koja samo "
        "te biti koje kada ako tako bilo sad smo"
    ),
    "Romanian": (
        "de a la din o pe cu nu mai un este care pentru se au ce fost ca al am sunt fi si va s lui dar sau e sa i ne "
        "ar le poate prin cum ale in despre"
    ),
    "Turkish": (
        "ve bir bu de da ile ne daha en gibi olarak her kadar o olan ben var ama sonra ki iyi yok ya sen yeni sadece "
        "zaman ilk iki mi ise oldu bile benim son tek yer seni beni bana"
    ),
    "Lithuanian": (
        "ir kad su yra tai kaip ar o buvo savo tik bet nuo ne apie taip m lietuvos kai labai per dar gali jau po iki "
        "jis bei jei jo pat to kas turi prie bus nes jos d jie"
    ),
    "Latvian": (
        "un ir ar par ka no uz kas vai bet es nav to tas man ja lai bija ko tikai tad kad var jau pie tu latvijas jo "
        "gan ne savu tev gada tik nu kur visu esmu kaut mums"
    ),
    "French": (
        "de la le et l les est en des d un que a pas une du il pour dans je qui c au ce sur qu par on ne plus avec j n "
        "mais se vous s tu elle son"
    ),
    "German": (
        "die der und in das ich ist nicht zu den von mit es ein auf im sie eine sich auch dem des als er an dass so "
        "bei wie aber aus hat sind nach noch wir du war nur wenn"
    ),
    "Spanish": (
        "de la que el en y a los no un se por es del las con una para lo su al como me si pero te o mi le este sus "
        "esta todo ya ha cuando yo ser son sin"
    ),
    "Portuguese": (
        "de a o que e do em da para um uma com no se na por os eu como as mais dos mas foi ao me ser seu sua tem das "
        "ou ele muito isso nos quando meu pelo ela"
    ),
    "Italian": (
        "di e che il la a in non un per del l i una le si con della da sono ma al ha come dei se nel mi alla anche lo "
        "gli delle o questo ho ci su ad dal"
    ),
    "Dutch": (
        "de van het een en in is op ik dat voor je te met niet zijn die als er maar om aan hij ook ze door naar uit "
        "bij dan dit was we wat heeft of over nog deze hebben"
    ),
    "Swedish": (
        "det att och i jag en inte som med har av om du till den de ett kan vi men man var ska nu vad mig bara eller "
        "han hur kommer alla vill sig vara bra finns ha skulle ut"
    ),
    "Danish": (
        "i og er af det at en til jeg har for ikke med den der de du kan som et var vi om han fra men skal ved vil "
        "hvor nu man hvis sig efter mig eller her hvad ud"
    ),
    "Norwegian": (
        "i og er det som til en av for ikke med har jeg at de du om den vi fra var kan et men han seg dette noe skal "
        "noen ble vil bare ut da hva etter eller meg blir"
    ),
    "Finnish": (
        "ja on ei se oli mutta ole kun niin jos ovat voi nyt sen kuin tai en joka olla vain jo kanssa sitten kaikki "
        "olisi ollut ne suomen miten mukaan paljon saa olen ihan tulee hyvin vaan koska aina koko"
    ),
    "Icelandic": (
        "og er sem til en af hann um ekki var fyrir eru eftir svo hefur vera hafa upp ef eins fram voru yfir allt "
        "einnig vel gera hans getur okkur sig koma okkar inn vegna hafi undir bara fara saman"
    ),
    "Catalan": (
        "de la a i que el l d en per del un les els una no amb va al es ha com dels s hi o ser aquest si tot fer seu "
        "aquesta molt als ja ho van seva ens"
    ),
    "English": (
        "the to and of a in i is for that you it on with this was be as are have at he not by but from my or we an "
        "your all so his they me if one can will"
    ),
    "Albanian": (
        "e i dhe me nga ka se si do po por nuk ai kjo ky ishte ta tij ju jam mund kur pas ose duke tek kam ti jo fare "
        "i saj ne mbi"
    ),
    "Irish": (
        "an a na ar agus is i go le ag ach do sin nach mar ann bhfuil seo gan ina chun nuair duine mo leis bheith bhi "
        "sna as den raibh cad nil mise tu"
    ),
    "Afrikaans": (
        "die en van is in nie het ek dit te wat om vir sy op met hulle as was ons aan ook maar jy by daar na kan sal "
        "my haar hom deur nog so jou baie"
    ),
    "Estonian": (
        "ja on ei see ta et oli mis kui ma ka ning aga siis sa oma mu nii veel olen kes seda nagu ole kas oleks pole "
        "selle saab teha nad vaid kuid"
    ),
}


def _log_likelihoods() -> dict[bytes, np.ndarray]:
    """Return for each word its log-likelihood in every language; that of the n-th most frequent is about 0.07 / n."""
    ranks = {language: words.split() for language, words in FREQUENT_WORDS.items()}
    return {
        word.encode(): np.log(
            [0.07 / (words.index(word) + 2) if word in words else UNLISTED for words in ranks.values()]
        )
        for word in {word for words in ranks.values() for word in words}
    }


LOG_LIKELIHOODS = _log_likelihoods()


def log_shares(lines: Iterable[bytes]) -> dict[str, float]:
    """Return the logarithm of the share of lines in each language (naive Bayes); all are alike without known words.

    Parameters
    ----------
    lines : iterable of bytes
        In any encoding whose first half is ASCII.

    Examples
    --------
    >>> shares = log_shares([b"la casa que no me gusta", b"y el ano de la"])
    >>> max(shares, key=shares.__getitem__)
    'Spanish'
    """
    shares = np.full(len(FREQUENT_WORDS), 1e-9)
    for line in lines:
        known = [LOG_LIKELIHOODS[word] for word in WORD.findall(line.lower()) if word in LOG_LIKELIHOODS]
        posterior = np.exp(np.sum(known, 0) - np.max(np.sum(known, 0))) if known else np.ones(len(shares))
        shares += posterior / posterior.sum()
    shares = (1 - LEAST) * shares / shares.sum() + LEAST / len(shares)
    return dict(zip(FREQUENT_WORDS, np.log(shares).tolist(), strict=True))
