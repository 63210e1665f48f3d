"""Detect encodings, replace damaged bytes."""

import contextlib
import io
import math
from pathlib import Path

import numpy as np
import pytest
from helpers.readers import CHINESE, ENGLISH, csv_text, read, rows, stream

from pipeline.base.errors import PipelineError
from pipeline.data.readers.detection import _is_everyday_chinese
from pipeline.data.readers.encodings import Decoding, choose_decoding, detect_encoding, to_utf8
from pipeline.data.readers.languages import log_shares
from pipeline.data.readers.plausibility import CAPITAL, log_likelihood
from pipeline.data.readers.reading import Reading
from pipeline.data.readers.sources import Source


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("content", [ENGLISH * 30, CHINESE * 30])
def test_unicode_encodings_are_detected(tmp_path: Path, encoding: str, content: list[tuple[str, str]]) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text(content).encode(encoding))) == content


def test_big_endian_by_its_mark(tmp_path: Path) -> None:
    content = b"\xfe\xff" + csv_text([("很好" * 500, "正面")]).encode("utf-16-be")
    assert rows(read(tmp_path, "a.csv", content)) == [("很好" * 500, "正面")]


def test_gbk_and_windows_1252_are_detected(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text(CHINESE).encode("gbk"))) == CHINESE
    assert rows(read(tmp_path, "b.csv", csv_text(ENGLISH * 30).encode("cp1252"))) == ENGLISH * 30


def test_given_encoding_wins(tmp_path: Path) -> None:
    russian = [("очень хорошо", "плюс")]
    assert rows(read(tmp_path, "a.csv", csv_text(russian).encode("cp1251"), encoding="cp1251")) == russian


def test_wrong_given_encoding_is_one_sentence(tmp_path: Path) -> None:
    content = csv_text(CHINESE).encode("gbk")
    with pytest.raises(PipelineError, match=r"a\.csv, line 2, is not utf-8; name its encoding"):
        read(tmp_path, "a.csv", content, encoding="utf-8")


def test_detected_encoding_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, "a.csv", csv_text(CHINESE).encode("gbk"))
    assert "is read as gb18030; name another encoding with ingest.encoding" in capsys.readouterr().err


def test_damaged_bytes_are_replaced_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"text,label\n" + b"fine,x\n" * 5_000 + b"brok\xffen,x\n" + "gut für uns,y\n".encode() * 3
    table = read(tmp_path, "a.csv", content)
    assert table["text"].iloc[5_000] == "brok�en"
    assert table["text"].iloc[5_001] == "gut für uns"
    message = capsys.readouterr().err
    assert "1 line(s) hold bytes that are not utf-8, the first being line 5002" in message


def test_one_damaged_line_is_not_another_encoding(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", b"text,label\n" + b"fine,x\n" * 2_000 + b"brok\xffen,x\n")
    assert table["text"].iloc[2_000] == "brok�en"


@pytest.mark.parametrize("damage", [b"brok\xffen", "gekürzt".encode("cp1252"), "很好".encode("gbk")])
def test_few_damaged_lines_are_replaced(tmp_path: Path, damage: bytes) -> None:
    content = b"text,label\n" + b"fine,x\n" * 10_000 + (damage + b",x\n") * 5
    assert read(tmp_path, "a.csv", content)["text"].str.contains("�").sum() == 5


def test_few_lines_of_windows_1252_are_not_damage(tmp_path: Path) -> None:
    content = b"text,label\n" + b"fine,x\n" * 2_000 + "gekürzt,x\n".encode("cp1252") * 10
    assert (read(tmp_path, "a.csv", content)["text"] == "gekürzt").sum() == 10


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("big5", "很好我喜歡這個手機太差了再也不買"),
        ("euc_kr", "이 영화는 정말 재미있고 배우들의 연기도 훌륭해서 다시 보고 싶은 작품입니다"),
        ("euc_jp", "この映画はとても面白くて、俳優の演技も素晴らしかったです"),
    ],
)
def test_other_asian_encodings_are_not_read_as_gbk(tmp_path: Path, encoding: str, text: str) -> None:
    content = csv_text([(text, "正面" if encoding == "big5" else "good")] * 9).encode(encoding)
    with pytest.raises(PipelineError, match="is neither UTF-8 nor UTF-16"):
        read(tmp_path, "a.csv", content)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf\n\r\n", b"\xfe\xff\x00\n"])
def test_byte_order_mark_only_is_empty(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(PipelineError, match=f"{name} is empty; it must have the columns text, label"):
        read(tmp_path, name, content)


SENTENCES = {
    "French": "Très déçu par la qualité. Où est passée ma commande ? Ça fait trois semaines que j'attends à côté.",
    "German": "Das Gerät ist schön, aber viel zu groß für die Küche. Überhaupt nicht zu empfehlen, völlig müde.",
    "Spanish": "¿Por qué tardó tanto el envío? La habitación olía mal. Mi niña está contenta con el muñeco.",
    "Portuguese": "Não gostei, péssimo atendimento. A comida é ótima. As instruções não são claras, você vê. Lição.",
    "Italian": "La qualità è ottima, però è così lento. Perché? Più bello di così non si può. La città è viva.",
    "Dutch": "Heel blij, één van de beste. De reünie was gezellig, met ideeën. Geïnstalleerd vóór tien uur.",
    "Danish": "Sælgeren svarer ikke, og æsken var ødelagt. Lækker og blød, men størrelsen er forkert på den.",
    "Swedish": "Köp inte denna, slöseri med pengar. Även min mamma älskar den på hotellet. Lätt att använda.",
    "Icelandic": "Maturinn var góður en þjónustan léleg. Það er auðvelt að nota þetta. Ég mæli með því.",
    "Polish": "Jestem bardzo zadowolona, polecam każdemu. Świetna jakość, mąż się cieszy. Źle się czuję, więcej nie.",
    "Czech": "Film byl nudný a příliš dlouhý. Skvělá kvalita, ale obsluha příšerná. Těším se na další díl, řekl.",
    "Slovak": "Som veľmi spokojná. Jedlo výborné, ale obsluha hrozná. Čakali sme, kým niekto prišiel. Ľahké, päť.",
    "Hungarian": "Nagyon elégedett vagyok. Könnyű használni, gyönyörű kilátás. Őszintén szólva a fürdő büdös volt.",
    "Slovene": "Zelo sem zadovoljna, priporočam. Že po dveh dneh je nehal delovati. Všeč mi je, čeprav je drago.",
    "Croatian": "Već nakon dva dana prestao je raditi. Čekali smo, sljedeći put ćemo doći. Sviđa mi se, šteta je.",
    "Romanian": "Vânzătorul nu răspunde. Mâncarea foarte bună, dar servirea proastă. Îmi place, deşi preţul e mare.",
    "Turkish": "Yemekler lezzetli ama servis kötüydü. Şikayet edeceğim. Işıklar göz alıyor, doğru dürüst değil.",
    "Lithuanian": "Telefonas atėjo sugadintas. Labai džiaugėsi dovana. Šį kartą ačiū už greitą pristatymą, būtų įdomu.",
    "Latvian": "Esmu ļoti apmierināta ar pirkumu. Ēdiens garšīgs, bet dārgi. Paldies par ātru piegādi, nākšu vēl.",
    "Estonian": "Järgmine kord tuleme jälle. Mees rõõmustas üle. Õhtul mängis bänd, võiks olla šokolaadi, käisime.",
    "English": "I don’t like it, “naïve” hero… It isn’t worth £20. She said: “I can’t believe the café’s coffee.”",
}
WESTERN = ["French", "German", "Spanish", "Portuguese", "Italian", "Dutch", "Danish", "Swedish", "Icelandic"]
CENTRAL = ["Polish", "Czech", "Slovak", "Hungarian", "Slovene", "Croatian", "Romanian"]
CODED = {
    "cp1252": [*WESTERN, "English", "Estonian"],
    "cp1250": CENTRAL,
    "cp1254": ["Turkish"],
    "cp1257": ["Lithuanian", "Latvian", "Estonian"],
    "iso8859-1": WESTERN,
    "iso8859-2": CENTRAL,
    "iso8859-9": ["Turkish"],
    "iso8859-15": WESTERN,
    "mac_roman": [*(language for language in WESTERN if language != "Icelandic"), "English"],
}


@pytest.mark.parametrize(
    ("encoding", "language"), [(encoding, language) for encoding, languages in CODED.items() for language in languages]
)
def test_encodings_of_europe_give_the_right_letters(tmp_path: Path, encoding: str, language: str) -> None:
    text = SENTENCES[language]
    content = csv_text([(text, "x"), ("plain", "y")]).encode(encoding)
    content = content.replace(b"\n", b"\r") if encoding == "mac_roman" else content
    assert rows(read(tmp_path, "a.csv", content)) == [(text, "x"), ("plain", "y")]
    assert stream(tmp_path / "a.csv") == [(text, "x"), ("plain", "y")]


@pytest.mark.parametrize("encoding", [encoding for encoding in CODED if encoding != "iso8859-1"])
def test_one_sentence_gives_the_right_letters_or_a_stop(tmp_path: Path, encoding: str) -> None:
    for language in CODED[encoding]:
        for sentence in SENTENCES[language].split(". "):
            content = csv_text([(sentence, "x")]).encode(encoding)
            with contextlib.suppress(PipelineError):
                assert rows(read(tmp_path, "a.csv", content)) == [(sentence, "x")]


@pytest.mark.parametrize(
    "text", ["café", "don’t", "Zürich", "price £20", "5 € only", "it´s", "señor", "résumé", "½ star"]
)
def test_one_word_of_windows_1252(tmp_path: Path, text: str) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text([(text, "x")]).encode("cp1252"))) == [(text, "x")]


@pytest.mark.parametrize("text", ["don’t", "don’t – no", "it’s “great” — really", "fine…", "the iPhone 手机 is good"])
def test_gbk_beside_english(tmp_path: Path, text: str) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text([(text, "x")] * 9).encode("gbk"))) == [(text, "x")] * 9


def test_euro_sign_of_iso_8859_15(tmp_path: Path) -> None:
    content = csv_text([("déjà payé 5 € à la caisse, c'était très cher", "x")]).encode("iso8859-15")
    assert "5 €" in read(tmp_path, "a.csv", content)["text"][1]


def test_candidates_are_named_where_letters_do_not_tell(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"a\.csv is neither .*: it may be .*cp1252.*; name its encoding with ingest\."
    ):
        read(tmp_path, "a.csv", csv_text([("ø", "x")]).encode("cp1252"))
    (tmp_path / "b.csv").write_bytes(csv_text([("ø", "x")]).encode("cp1252"))
    with pytest.raises(PipelineError, match=r"it may be .*cp1252.*; name its encoding with --encoding"):
        stream(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Очень понравилось, спасибо! Телефон пришёл сломанным"),
        ("koi8-r", "Очень понравилось, спасибо! Телефон пришёл сломанным"),
        ("cp1253", "Το τηλέφωνο ήρθε σπασμένο και κανείς δεν απαντά"),
        ("cp1255", "הטלפון הגיע שבור ואף אחד לא עונה"),
        ("cp1256", "وصل الهاتف مكسورا ولا أحد يرد"),
        ("cp874", "โทรศัพท์มาถึงแล้วเสีย"),
        ("euc_kr", "이 영화는 정말 재미있고"),
        ("shift_jis", "この映画はとても面白くて"),
        ("big5", "很好我喜歡這個手機"),
    ],
)
def test_other_scripts_are_refused_and_named(tmp_path: Path, encoding: str, text: str) -> None:
    pattern = rf"it may be .*{encoding.replace('-', '_')}"
    with pytest.raises(PipelineError, match=pattern):
        read(tmp_path, "a.csv", csv_text([(text, "good")] * 9).encode(encoding))
    english = [("This product is great and I love it so much, said the man " + text, "good")]
    with pytest.raises(PipelineError, match="name its encoding with"):
        read(tmp_path, "a.csv", csv_text(english).encode(encoding))


def test_letters_that_show_the_encoding(tmp_path: Path) -> None:
    for number, (text, encoding, letters) in enumerate(
        [
            ("größer, schöne Größe – “so”", "utf-8", "öß"),
            ("Źle się czuję, mąż wciąż żałuje", "cp1250", "żęąŹł"),
            ("I don’t like it – no, I don’t", "cp1252", "’–"),
            ("plain", "utf-8", ""),
        ]
    ):
        path = tmp_path / f"{number}.csv"
        path.write_bytes(csv_text([(text, "x")]).encode(encoding))
        reading = Reading()
        to_utf8(path.read_bytes(), None, path, reading)
        assert (reading.encoding, reading.letters) == (encoding, letters)


def test_characters_are_whole_at_the_edges_of_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.data.readers.detection.BLOCK_BYTES", 50)
    assert rows(read(tmp_path, "a.csv", csv_text(CHINESE).encode("gbk"))) == CHINESE


def right_or_stops(tmp_path: Path, text: str, encoding: str, line_end: str = "\n") -> bool:
    """Whether a file of one row is read, rather than refused with candidates; never is it read as something else."""
    content = csv_text([(text, "x")]).replace("\n", line_end).encode(encoding)
    if detect_encoding(lambda: io.BytesIO(content)).encoding:
        assert rows(read(tmp_path, "a.csv", content)) == stream(tmp_path / "a.csv") == [(text, "x")]
        return True
    with pytest.raises(PipelineError, match=r"it may be .* name its encoding with ingest\.encoding") as stop:
        read(tmp_path, "a.csv", content)
    assert not {word for word in text.split() if not word.isascii()} & set(str(stop.value).split())
    with pytest.raises(PipelineError, match="name its encoding with --encoding"):
        stream(tmp_path / "a.csv")
    return False


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "café très bon"),
        ("cp1252", "Per què ningú contesta els meus missatges?"),
        ("cp1252", "La habitación estaba sucia y había mucho ruido."),
        ("cp1252", "The kids’ room wasn’t “ready” – we paid 40 €…"),
        ("cp1250", "Soba je bila prljava i bučna, zašto mi nitko ne odgovara?"),
        ("cp1250", "Personál byl velmi ochotný a milý, ale jídlo studené."),
        ("iso8859-2", "Personál byl velmi ochotný a milý, ale jídlo studené."),
        ("cp1257", "Vis dar laukiu grąžinamų pinigų, kodėl niekas neatsako?"),
        ("cp1254", "Filmin sonunda ağladım ama yine de çok güzel bir filmdi."),
        ("mac_roman", "Tá an fhuaim uafásach agus bhí sé go maith"),
        ("gb18030", "The 手机 is good ½ price™, I don’t like it 😀 的 我 不"),
    ],
)
def test_words_and_letters_of_one_row_tell(tmp_path: Path, encoding: str, text: str) -> None:
    assert right_or_stops(tmp_path, text, encoding)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("mac_roman", "Leí el libro en la noche, día"), ("mac_roman", "más"), ("cp1257", "Kitą kartą"), ("cp1250", "č")],
)
def test_few_letters_do_not_give_others(tmp_path: Path, encoding: str, text: str) -> None:
    for line_end in ("\n", "\r\n", "\r"):
        right_or_stops(tmp_path, text, encoding, line_end)
    assert detect_encoding(lambda: io.BytesIO(text.encode(encoding))).encoding is None


def test_carriage_returns_speak_for_mac_roman(tmp_path: Path) -> None:
    text = "Cibo squisito, torneremo di sicuro lunedì con la famiglia."
    assert right_or_stops(tmp_path, text, "mac_roman", "\r")
    assert not right_or_stops(tmp_path, text, "mac_roman", "\n")
    assert detect_encoding(lambda: io.BytesIO(text.encode("mac_roman"))).encoding is None  # no line end, no evidence
    assert right_or_stops(tmp_path, "The 5\u2019 tall one isn\u2019t \u201cgood\u201d", "cp1252", "\r\n")


def test_line_ends_of_windows_speak_against_mac_roman(tmp_path: Path) -> None:
    text = "A mio marito il regalo è piaciuto tantissimo."
    assert right_or_stops(tmp_path, text, "mac_roman", "\n")
    assert not right_or_stops(tmp_path, text, "mac_roman", "\r\n")


def test_language_does_not_outweigh_an_implausible_mark(tmp_path: Path) -> None:
    text = "Nagyon jó ez a szép új könyv, és csak 5 € volt az egész, két év múlva is az lesz."
    assert not right_or_stops(tmp_path, text, "iso8859-15")


def test_only_lines_beyond_ascii_tell_the_language(tmp_path: Path) -> None:
    rows_ = [("Soba je bila prljava i bučna, zašto mi nitko ne odgovara?", "x")] + [
        ("The room was dirty and the staff was not nice to us.", "y")
    ] * 30
    assert rows(read(tmp_path, "a.csv", csv_text(rows_).encode("cp1250"))) == rows_


def test_utf_8_by_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "La camera era sporca e non c’è silenzio."
    assert right_or_stops(tmp_path, text, "mac_roman", "\r")
    for text in ("5 μm", "Ջերմ բարեւ", "plain"):
        assert right_or_stops(tmp_path, text, "utf-8")
    monkeypatch.setattr("pipeline.data.readers.encodings.BLOCK_BYTES", 20)  # in a long file it is no chance
    assert rows(read(tmp_path, "a.csv", csv_text([("so cՏ so", "x")]).encode())) == [("so cՏ so", "x")]


def test_given_encoding_wins_over_utf_8(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", "text,label\ncafé,x\n".encode(), encoding="cp1252")) == [("cafÃ©", "x")]


def test_half_of_the_lines_may_be_damaged(tmp_path: Path) -> None:
    content = "text,label\nfür,x\n".encode() + b"brok\xffen,y\n"
    assert rows(read(tmp_path, "a.csv", content)) == [("für", "x"), ("brok�en", "y")]


def test_stream_of_utf_16(tmp_path: Path) -> None:
    for content in (b"\xfe\xff" + "text,label\na,b\n".encode("utf-16-be"), "text,label\na,b\n".encode("utf-16-le")):
        (tmp_path / "a.csv").write_bytes(content)
        assert stream(tmp_path / "a.csv", encoding="utf-16") == [("a", "b")]


def test_pipe_is_not_read_to_choose_its_encoding() -> None:
    pipe = Source("standard input", lambda: pytest.fail("opened"), rereadable=False)
    assert choose_decoding(pipe, None) == Decoding("utf-8", "surrogateescape")
    assert choose_decoding(pipe, "cp1252") == Decoding("cp1252", "strict")
    assert choose_decoding(pipe, "utf-16") == Decoding("utf-16", "strict")


def test_letters_of_the_beginning_or_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.data.readers.encodings.SAMPLE_BYTES", 16)
    for content, letters in (("text,label\nöö,x\nüüü,y\n", "ö"), ("text,label\nplain,x\nplain,x\nü,y\n", "ü")):
        reading = Reading()
        to_utf8(content.encode(), None, tmp_path / "a.csv", reading)
        assert reading.letters == letters


def test_shares_of_languages() -> None:
    lines = [b"the room was not in the house", b"la casa que no me gusta", b"xyz", "été".encode()]
    shares = log_shares(lines)
    assert sorted(shares, key=shares.__getitem__)[-2:] in (["English", "Spanish"], ["Spanish", "English"])
    assert len(set(log_shares([b"xyz"]).values())) == 1
    assert sum(map(math.exp, shares.values())) == pytest.approx(1)


def likelihoods(language: str, *places: str) -> list[float]:
    """Of the second character of each place between its neighbours."""
    return [log_likelihood(place[1], place[0], place[2:], language) for place in places]


def falls(values: list[float]) -> bool:
    return values == sorted(values, reverse=True) and len(set(values)) == len(values)


def test_case_of_letters() -> None:
    assert falls(likelihoods("French", "rés", " Éc", "RÉS", "rÉs"))
    assert falls(likelihoods("French", "rés", "réS"))
    assert falls(likelihoods("French", " Éc", " ÉC"))
    small, capital = likelihoods("French", "ré ", "RÉ ")
    assert capital - small == pytest.approx(math.log(CAPITAL), abs=0.01)


def test_letters_of_other_scripts() -> None:
    assert falls(likelihoods("Hebrew", " לו", "aלו", "aéb"))
    assert likelihoods("Thai", "กัน") == likelihoods("Thai", "กาน") > likelihoods("Thai", "กéน")  # ั is no letter


def test_everyday_chinese_characters() -> None:
    assert falls(likelihoods("Chinese", "很的人", "很碗人", "很璧人", "很龘人"))
    assert falls(likelihoods("Chinese", "很的人", "a的人"))


def test_marks_by_language_and_place() -> None:
    assert falls([*likelihoods("Spanish", " ¿Q"), *likelihoods("French", " ¿Q")])
    assert falls([*likelihoods("German", "e“ "), *likelihoods("French", "e“ ")])
    assert falls([*likelihoods("Catalan", "l·l"), *likelihoods("French", "l·l")])
    assert falls([*likelihoods("French", "l’ami"), *likelihoods("Spanish", "l’ami")])
    assert falls(likelihoods("English", "n’t ", "s’ h", "e’ h", "u’sio"))
    assert falls(likelihoods("French", "l’am", "b’am"))
    assert falls(likelihoods("French", "l’am", "d’a "))
    assert likelihoods("French", "l’am", "d’am") == likelihoods("French", "n’a ", "l’y ")
    assert likelihoods("English", "u’re", "e’ll") == likelihoods("English", "n’t ", "e’s ")
    assert falls(likelihoods("English", " €5", "a€b"))
    assert falls(likelihoods("English", "5½ ", "¬½¬", "a¬b"))
    assert falls([*likelihoods("Spanish", "5º "), *likelihoods("Spanish", "aºb")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("的很好手机我喜欢", True),
        ("的手机😀😀😀😀", True),  # emoji are of no language
        ("龘璧珏琮琰瑾瑜", False),
        ("的この映画はとても", False),
        ("的龘靐齉齾爩鱻麤龗灪", False),
        (
            "的不的" + "이 영화는 정말 재미있고 배우들의 연기도 훌륭해서 보고 싶은".encode("euc_kr").decode("gb18030"),
            False,
        ),
        ("이 영화는 정말 재미있고 배우들의 연기도 훌륭해서".encode("euc_kr").decode("gb18030"), False),
    ],
)
def test_everyday_chinese(text: str, expected: bool) -> None:
    assert _is_everyday_chinese((text,), np.array([1])) is expected


def test_marks_that_languages_share() -> None:
    for place in (" “S", "n’ x", " ’S", " ’9", "e” "):
        assert likelihoods("English", place) == likelihoods("Spanish", place)
    assert likelihoods("German", " “S") == likelihoods("Spanish", " “S")
    assert likelihoods("Catalan", "a·b") == likelihoods("French", "a·b")
    assert likelihoods("English", "s” ", "s… ") == likelihoods("English", "e” ", "e… ")
