"""Serve: what goes in and comes out over HTTP, what is refused, and that no text stays anywhere."""

import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from helpers.project import ROOT, Project
from helpers.service import Counting, Service, served, service, until

from pipeline.base.errors import PipelineError
from pipeline.data import datasets
from pipeline.serving import app
from pipeline.serving.champion import load_folder

LIMITS = {"max_length": 20, "max_texts": 5, "max_body": 2_000, "max_waiting": 8, "timeout": 5.0, "threads": 1}


@pytest.fixture(scope="module")
def model() -> Counting:
    return Counting()


@pytest.fixture(scope="module")
def small(model: Counting) -> Iterator[Service]:
    """A service with low limits."""
    with service(model, **LIMITS) as running:
        yield running


def counters(running: Service) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in running.get("/metrics")[1].splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_one_text(small: Service) -> None:
    status, answer = small.post("/predict", {"text": "four"})
    assert status == 200
    assert answer == {
        "predicted_label": "glad",
        "confidence": 0.5,
        "probabilities": {"sad": 0.25, "glad": 0.5, "angry": 0.25},
        "model": "moods version 1",
    }


def test_many_texts_keep_their_order(small: Service) -> None:
    status, answer = small.post("/predict/batch", {"texts": ["", "a", "bb", "ccc", "a"]})
    assert status == 200
    assert [each["predicted_label"] for each in answer["predictions"]] == ["sad", "glad", "angry", "sad", "glad"]
    assert answer["model"] == "moods version 1"


def test_an_explanation(small: Service) -> None:
    status, answer = small.post("/explain", {"text": "four"})
    assert status == 200
    assert (answer["predicted_label"], answer["model"], answer["text"]) == ("glad", "moods version 1", "four")
    adds = {"sad": 0.25, "glad": 0.5, "angry": 0.25}
    assert answer["words"] == [{"word": "four", "span": [0, 4], "source": None, "adds": adds}]


def test_the_model_health_and_readiness(small: Service) -> None:
    status, model = small.get("/model")
    assert status == 200
    assert model.pop("loaded").startswith("20")
    assert model == {
        "name": "moods",
        "version": "1",
        "alias": None,
        "classes": ["sad", "glad", "angry"],
        "language": "en",
        "state": "s" * 64,
        "figures": {"macro_f1": 0.5},
        "refused": None,
        "trouble": None,
    }
    assert small.get("/health") == (200, {"status": "ok"})
    assert small.get("/ready") == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"text": None}, 422, "text must be a string"),
        ({"text": 3}, 422, "text must be a string"),
        ({"text": ["a"]}, 422, "text must be a string"),
        ({"text": "x" * 21}, 422, "text must have at most 20 characters"),
        (b'{"text": "\\ud83d"}', 422, "text must be valid Unicode, without half a surrogate pair"),
        ({}, 422, "text is missing"),
        ({"text": "a", "lang": "en"}, 422, "the body has a field that is not known; see /openapi.json"),
        (["a"], 422, "the body must be a JSON object, sent as application/json; see /openapi.json"),
        (b"", 422, "the body is missing"),
        (b'{"text": ', 422, "the body is not valid JSON"),
        (b'{"text": "\xff"}', 400, "the body cannot be read as JSON in UTF-8"),
        (b"[" * 1_900, 400, "the body cannot be read as JSON in UTF-8"),
        (b"1" * 1_900, 422, "the body must be a JSON object, sent as application/json; see /openapi.json"),
        (b'"' + b"x" * 2_000, 413, "the body is larger than 2,000 bytes; send fewer texts"),
    ],
)
def test_what_is_no_text_is_one_sentence(small: Service, body: Any, status: int, sentence: str) -> None:
    assert small.post("/predict", body) == (status, {"error": sentence})


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["a", None], "texts[1] must be a string"),
        ([], "texts must hold at least one text"),
        (["a"] * 6, "texts must hold at most 5 texts"),
        ("a", "texts must be a list of strings"),
        (["a", "x" * 21], "texts[1] must have at most 20 characters"),
    ],
)
def test_what_are_no_texts_is_one_sentence(small: Service, texts: Any, sentence: str) -> None:
    assert small.post("/predict/batch", {"texts": texts}) == (422, {"error": sentence})


def test_zero_bytes_emoji_and_an_empty_text_are_texts(small: Service) -> None:
    for text in ("\0", "😀", ""):
        assert small.post("/predict", {"text": text})[0] == 200


def test_a_body_of_unknown_length_is_bounded_too(small: Service) -> None:
    with socket.create_connection(("127.0.0.1", small.port), timeout=10) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        client.sendall(b"7d0\r\n" + b"x" * 2_000 + b"\r\n5\r\nxxxxx\r\n")
        assert client.recv(4_096).startswith(b"HTTP/1.1 413 ")


def test_what_is_not_there_is_one_sentence(small: Service) -> None:
    assert small.get("/nothing") == (404, {"error": "there is nothing here; see /openapi.json"})
    assert small.get("/predict") == (405, {"error": "this path is asked in another way; see /openapi.json"})


def test_a_full_queue_says_when_to_come_again(small: Service, model: Counting) -> None:
    model.let.clear()
    answers: list[tuple[int, Any]] = []
    body = {"texts": ["a"] * 4}
    threads = [threading.Thread(target=lambda: answers.append(small.post("/predict/batch", body))) for _ in range(3)]
    try:
        for thread in threads:  # the first is at work; the others fill the queue
            thread.start()
        until(lambda: counters(small)["serve_waiting_texts"] >= 8)
        status, answer, headers = small.ask("POST", "/predict", {"text": "a"})
        assert (status, answer) == (503, {"error": "too many texts wait; try again after a second"})
        assert headers["retry-after"] == "1"
        assert small.get("/ready")[0] == 503
        assert small.get("/health")[0] == 200
    finally:
        model.let.set()
        for thread in threads:
            thread.join()
    assert [status for status, _ in answers] == [200, 200, 200]
    assert small.get("/ready")[0] == 200


def test_what_waits_is_predicted_together(small: Service, model: Counting) -> None:
    model.let.clear()
    del model.calls[:]
    threads = [threading.Thread(target=small.post, args=("/predict", {"text": "a"})) for _ in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: counters(small)["serve_waiting_texts"] >= 5)
    model.let.set()
    for thread in threads:
        thread.join()
    assert model.calls == [1, 5]


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    model = Counting()
    with service(model, timeout=0.3, threads=1) as running:
        model.let.clear()
        status, answer, headers = running.ask("POST", "/predict", {"text": "a"})
        assert (status, headers["retry-after"]) == (503, "1")
        assert answer == {"error": "no answer within 0.3 seconds; send fewer texts, or try again"}
        with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            assert client.recv(4_096).startswith(b"HTTP/1.1 408 ")
        model.let.set()
        assert running.post("/predict", {"text": "a"})[0] == 200


def test_what_is_in_work_is_finished_before_the_end() -> None:
    model = Counting()
    answers: list[tuple[int, Any]] = []
    with service(model, threads=1) as running:
        model.let.clear()
        thread = threading.Thread(target=lambda: answers.append(running.post("/predict", {"text": "a"})))
        thread.start()
        until(lambda: model.calls)
        threading.Timer(0.3, model.let.set).start()
    thread.join()
    assert [status for status, _ in answers] == [200]


def test_an_explanation_that_nobody_waits_for_is_not_made(small: Service, model: Counting) -> None:
    model.let.clear()
    del model.calls[:]
    request = b"POST /explain HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n"
    request += b'{"text": "a"}'
    first, second = (socket.create_connection(("127.0.0.1", small.port), timeout=10) for _ in range(2))
    with first, second:
        first.sendall(request)
        until(lambda: model.calls)
        second.sendall(request)
        until(lambda: counters(small)["serve_waiting_explanations"] >= 1)
        second.close()
        for _ in range(5):  # the service has seen that by then
            small.get("/health")
        model.let.set()
        assert first.recv(4_096).startswith(b"HTTP/1.1 200 ")
    assert small.post("/predict", {"text": "a"})[0] == 200
    assert len(model.calls) == 2


def test_explanations_never_stand_before_predictions_and_are_bounded() -> None:
    explainer = Counting()
    explainer.let.clear()
    answers: list[tuple[int, Any]] = []
    with service(Counting(), explainer, threads=1, max_explanations=3) as running:
        ask = lambda: answers.append(running.post("/explain", {"text": "a"}))  # noqa: E731
        threads = [threading.Thread(target=ask) for _ in range(8)]
        try:
            for thread in threads:
                thread.start()
            until(lambda: len(answers) == 4 and counters(running)["serve_waiting_explanations"] == 3)
            for _ in range(20):
                assert running.post("/predict", {"text": "a"})[0] == 200
            assert running.get("/ready")[0] == 200
        finally:
            explainer.let.set()
            for thread in threads:
                thread.join()
        assert counters(running)["serve_explanation_seconds_count"] == 4
    assert [status for status, _ in answers] == [503] * 4 + [200] * 4
    assert explainer.calls == [1] * 4


@pytest.mark.slow  # a quarter of a minute
def test_64_explanations_of_the_longest_texts_starve_nobody_and_need_no_memory(reference: Project) -> None:
    model = load_folder(reference.folder / "data/train/model")
    tweets = datasets.tweets()["text"].to_list()
    longest = [" ".join(tweets[start : start + 300])[:20_000] for start in range(0, 64 * 300, 300)]
    assert {len(text) for text in longest} == {20_000}
    answers: list[int] = []
    with service(model.predictor, model.explainer) as running:
        ask = lambda text: answers.append(running.post("/explain", {"text": text})[0])  # noqa: E731
        running.post("/explain", {"text": longest[0]})
        before, seconds = psutil.Process().memory_info().rss, []
        threads = [threading.Thread(target=ask, args=(text,)) for text in longest]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            began = time.perf_counter()
            assert running.post("/predict", {"text": tweets[len(seconds)]})[0] == 200
            seconds.append(time.perf_counter() - began)
        grown = psutil.Process().memory_info().rss - before
        assert running.post("/explain", {"text": "short again"})[0] == 200
    assert set(answers) <= {200, 503}
    assert answers.count(200) > 0
    assert len(seconds) > 20
    assert sorted(seconds)[int(0.99 * len(seconds))] < 1  # before there were two queues: 10, and 503
    assert grown < 200_000_000


def test_no_text_stays_in_logs_or_metrics(small: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary7q"
    assert small.post("/predict", {"text": canary})[0] == 200
    assert small.post("/predict/batch", {"texts": [canary, None]})[0] == 422
    assert small.post("/explain", {"text": canary})[0] == 200
    assert small.post("/predict", {canary: canary})[0] == 422
    assert small.post(f"/predict?text={canary}", {"text": canary})[0] == 200
    assert small.ask("GET", f"/{canary}?{canary}", headers={"user-agent": canary, "x-canary7q": canary})[0] == 404
    assert small.ask(canary.upper().replace("7", ""), "/predict")[0] in {400, 405}
    failed = small.post("/predict", {"text": f"fail {canary}"})
    assert failed == (500, {"error": "the service failed; its log says where"})
    assert small.post("/explain", {"text": f"fail {canary}"})[0] == 500
    assert len(caplog.records) >= 9
    assert "canary" not in caplog.text.lower()
    assert "POST /predict 200" in caplog.text
    assert re.search(r"/predict failed: ValueError at service\.py:\d+", caplog.text)
    assert "canary" not in small.get("/metrics")[1].lower()


def test_counters(small: Service) -> None:
    before = counters(small)
    small.post("/predict", {"text": "a"})
    small.get("/a-path-of-a-stranger")
    after = counters(small)

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('serve_requests_total{method="POST",path="/predict",status="200"}') == 1
    assert more('serve_requests_total{method="GET",path="other",status="404"}') == 1
    assert more('serve_request_seconds_count{path="/predict"}') == 1
    assert more("serve_batch_texts_sum") == 1
    assert after['serve_model_info{name="moods",version="1"}'] == 1


def test_the_page_loads_nothing_from_elsewhere(small: Service) -> None:
    for path in ("/", "/page.css", "/page.js", "/icon.svg"):
        status, content, headers = small.ask("GET", path)
        assert status == 200
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"(src|href|url\(|import|fetch\()[=\s\"'(]*(https?:)?//", content), path
        assert " style=" not in content  # which the policy would block
        assert "onclick" not in content


def test_openapi_tells_the_limits(small: Service) -> None:
    schemas = small.get("/openapi.json")[1]["components"]["schemas"]
    assert schemas["Text"]["properties"]["text"]["maxLength"] == 20
    assert schemas["Texts"]["properties"]["texts"]["maxItems"] == 5


def test_the_service_imports_neither_tensorflow_nor_keras() -> None:
    heavy = "{'tensorflow', 'keras', 'sklearn', 'mlflow', 'matplotlib', 'great_expectations'}"
    code = f"import sys, pipeline.serving.app; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["serve", *arguments])
    app.main()


def test_a_port_that_is_taken_is_one_sentence(small: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineError, match=rf"cannot listen at --host 127.0.0.1 --port {small.port}: .*in use"):
        call(monkeypatch, "--port", str(small.port))


def test_a_limit_of_nothing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PipelineError, match="--max-texts must be above 0, got 0"):
        call(monkeypatch, "--max-texts", "0")


def test_loopback_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    places: list[str] = []

    def listen(host: str, port: int) -> socket.socket:
        places.append(host)
        raise PipelineError("enough")

    monkeypatch.setattr(app, "listen", listen)
    with pytest.raises(PipelineError, match="enough"):
        call(monkeypatch)
    assert places == ["127.0.0.1"]


def closed(held: socket.socket, seconds: float) -> bool:
    """Whether the service closes a connection within so many seconds."""
    held.settimeout(seconds)
    try:
        return held.recv(4_096) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        (b"", b""),
        (b"", b"POST /predict HTTP/1.1\r\nHost:"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /predict HTTP/1.1\r\nHost:"),
    ],
)
def test_nobody_holds_a_connection_without_a_request(before: bytes, sent: bytes) -> None:
    with service(Counting(), timeout=0.5) as running, socket.create_connection(("127.0.0.1", running.port)) as held:
        if before:
            held.sendall(before)
            until(lambda: held.recv(4_096).endswith(b'{"status":"ok"}'))
        held.sendall(sent)
        assert closed(held, 3)


def test_nobody_holds_an_answer_without_reading_it() -> None:
    with service(Counting(), timeout=0.5, max_body=10**7, max_texts=10**5, max_waiting=10**6) as running:
        body = json.dumps({"texts": ["x"] * 80_000}).encode()
        head = f"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.connect(("127.0.0.1", running.port))
            slow.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)

            def held() -> bool:  # at the service's end, which is of this process too
                return slow.getsockname() in [each.raddr for each in psutil.Process().net_connections()]

            until(held)
            until(lambda: not held())
            slow.settimeout(5)
            got = 0
            with suppress(ConnectionResetError):
                while part := slow.recv(1 << 20):
                    got += len(part)
        assert got < 4_000_000  # of some 10 MB: what lay in the system's buffers
        assert running.get("/health")[0] == 200


def test_a_head_alone_is_answered(small: Service) -> None:
    for path, status in (("/", b"200"), ("/health", b"200"), ("/ready", b"200"), ("/predict", b"405")):
        with socket.create_connection(("127.0.0.1", small.port), timeout=10) as client:
            client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: client.recv(4_096), b""))
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.endswith(b"\r\n\r\n")
    assert small.post("/predict/", {"text": "a"})[0] == 404


def test_half_a_body_is_no_request(small: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="serve")
    with socket.create_connection(("127.0.0.1", small.port)) as gone:
        gone.sendall(b'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"te')
    assert small.post("/predict", {"text": "a"})[0] == 200
    said = until(lambda: [record.getMessage() for record in caplog.records if "POST /predict " in record.getMessage()])
    assert [line.split()[2] for line in said] == ["200"]


def test_a_body_of_as_many_bytes_as_are_allowed_is_taken(small: Service) -> None:
    assert small.post("/predict", json.dumps({"text": "x" * 20}).encode().ljust(2_000))[0] == 200
    assert small.post("/predict", json.dumps({"text": "x" * 20}).encode().ljust(2_001))[0] == 413


def test_only_who_may_come_again_is_told_when(small: Service) -> None:
    for body, expected in ((b" " * 2_001, 413), (b'{"text": "fail"}', 500)):
        status, _, headers = small.ask("POST", "/predict", body)
        assert (status, "retry-after" in headers) == (expected, False)


def test_no_answer_is_kept_on_the_way(small: Service) -> None:
    for path in ("/", "/model", "/metrics"):
        assert small.ask("GET", path)[2]["cache-control"] == "no-store"


def test_faults_and_methods_are_counted_and_those_of_strangers_as_one(
    small: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="serve")
    before = counters(small)
    assert small.post("/predict", {"text": "fail"})[0] == 500
    for method in ("HEAD", "PROPFIND", "UNSUBSCRIBE"):
        with socket.create_connection(("127.0.0.1", small.port), timeout=10) as client:
            client.sendall(f"{method} /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            assert b"".join(iter(lambda: client.recv(4_096), b""))
    after = counters(small)

    def more(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert more("serve_errors_total") == 1
    assert more('serve_requests_total{method="HEAD",path="/health",status="200"}') == 1
    assert more('serve_requests_total{method="other",path="/health",status="405"}') == 2
    said = [record.getMessage().split()[:3] for record in caplog.records]
    assert ["PROPFIND", "/health", "405"] in said  # a method of few letters is no text
    assert ["other", "/health", "405"] in said


def test_an_alias_is_followed_and_a_number_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SimpleNamespace(address="sqlite:///moods.db", versions=SimpleNamespace(get=lambda name, which: which))
    monkeypatch.setattr(app.tracking, "connect", lambda: store)
    monkeypatch.setattr(app, "load_version", lambda store, version: served(Counting(), "3"))
    assert app.load("champion", "moods")[1:] == (store, "champion")
    assert app.load("3", "moods")[1:] == (None, "")
