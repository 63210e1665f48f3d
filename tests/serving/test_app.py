"""The service over HTTP: answers, refusals, limits, logs without texts, and the command that starts it."""

import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from helpers.project import ROOT
from helpers.service import Client, FakeModel, loaded_model, running_service, threads_of, wait_until

from pipeline.base.errors import PipelineError
from pipeline.serving import app
from pipeline.serving.middleware import TOO_LARGE_HEAD

LIMITS = {"max_length": 20, "max_texts": 5, "max_body": 2_000, "max_waiting": 8, "timeout": 5.0, "threads": 1}


@pytest.fixture(scope="module")
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture(scope="module")
def client(model: FakeModel) -> Iterator[Client]:
    """A client of a service with low limits."""
    with running_service(model, **LIMITS) as client:
        yield client


def test_predict_one_text(client: Client) -> None:
    status, answer = client.post("/predict", {"text": "four"})
    assert status == 200
    assert answer == {
        "predicted_label": "glad",
        "confidence": 0.5,
        "probabilities": {"sad": 0.25, "glad": 0.5, "angry": 0.25},
        "known_words": 1,
        "model": "moods version 1",
    }


def test_batch_keeps_the_order_of_texts(client: Client) -> None:
    status, answer = client.post("/predict/batch", {"texts": ["ccc", "a", "b b", "??", "a"]})
    assert status == 200
    labels = [prediction["predicted_label"] for prediction in answer["predictions"]]
    assert labels == ["sad", "glad", "sad", "angry", "glad"]
    assert [prediction["known_words"] for prediction in answer["predictions"]] == [1, 1, 2, 0, 1]
    assert answer["model"] == "moods version 1"


def test_explain_one_text(client: Client) -> None:
    status, answer = client.post("/explain", {"text": "four"})
    assert status == 200
    assert (answer["predicted_label"], answer["model"], answer["text"]) == ("glad", "moods version 1", "four")
    adds = {"sad": 0.25, "glad": 0.5, "angry": 0.25}
    assert answer["words"] == [{"word": "four", "span": [0, 4], "source": None, "adds": adds}]


def test_model_health_and_readiness(client: Client) -> None:
    status, model = client.get("/model")
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
    assert client.get("/health") == (200, {"status": "ok"})
    assert client.get("/ready") == (200, {"status": "ready"})


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"text": None}, 422, "text must be a string"),
        ({"text": 3}, 422, "text must be a string"),
        ({"text": ["a"]}, 422, "text must be a string"),
        ({"text": "x" * 21}, 422, "text must have at most 20 characters"),
        (b'{"text": "\\ud83d"}', 422, "text must be valid Unicode, without unpaired surrogates"),
        ({}, 422, "text is missing"),
        ({"text": "a", "lang": "en"}, 422, "unknown field in the body; see /openapi.json"),
        (["a"], 422, "the body must be a JSON object with content type application/json"),
        (b"", 422, "the body is missing"),
        (b'{"text": ', 422, "the body is not valid JSON"),
        (b'{"text": "\xff"}', 400, "cannot decode the body; send JSON in UTF-8"),
        (b"[" * 1_900, 400, "cannot decode the body; send JSON in UTF-8"),
        (b"1" * 1_900, 422, "the body must be a JSON object with content type application/json"),
        (b'"' + b"x" * 2_000, 413, "the body is larger than 2,000 bytes; send fewer texts"),
    ],
)
def test_invalid_text_gets_one_sentence(client: Client, body: Any, status: int, message: str) -> None:
    assert client.post("/predict", body) == (status, {"error": message})


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", None], "texts[1] must be a string"),
        ([], "texts must have at least one item"),
        (["a"] * 6, "texts must have at most 5 items"),
        ("a", "texts must be a list of strings"),
        (["a", "x" * 21], "texts[1] must have at most 20 characters"),
    ],
)
def test_invalid_batch_gets_one_sentence(client: Client, texts: Any, message: str) -> None:
    assert client.post("/predict/batch", {"texts": texts}) == (422, {"error": message})


@pytest.mark.parametrize(
    ("path", "body"),
    [("/predict", {f"key{i}": i for i in range(50)}), ("/predict/batch", {"texts": [None] * 5}),
     ("/predict/batch", {f"key{i}": i for i in range(50)})],
)  # fmt: skip
def test_only_the_first_error_of_a_body_is_found(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str, body: Any
) -> None:
    """150,000 unknown fields kept the service from all other requests for seconds."""
    found: list[int] = []
    errors = RequestValidationError.errors
    monkeypatch.setattr(RequestValidationError, "errors", lambda self: found.append(len(errors(self))) or errors(self))
    assert client.post(path, body)[0] == 422
    assert found == [1]


def test_nul_and_emoji_are_valid(client: Client) -> None:
    for text in ("\0", "😀"):
        assert client.post("/predict", {"text": text})[0] == 200


@pytest.mark.parametrize("text", ["", " \n", "\u3000"])
def test_text_without_content_is_refused(client: Client, text: str) -> None:
    refusal = {"error": "text is empty: nothing is left after cleaning"}
    assert client.post("/predict", {"text": text}) == (422, refusal)
    assert client.post("/explain", {"text": text}) == (422, refusal)
    answer = client.post("/predict/batch", {"texts": ["a", text]})
    assert answer == (422, {"error": "texts[1] is empty: nothing is left after cleaning"})


def test_body_of_unknown_length_is_limited(client: Client) -> None:
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        connection.sendall(b"7d0\r\n" + b"x" * 2_000 + b"\r\n5\r\nxxxxx\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 413 ")


def test_unknown_path_and_method_get_one_sentence(client: Client) -> None:
    assert client.get("/nothing") == (404, {"error": "unknown path; see /openapi.json"})
    assert client.get("/predict") == (405, {"error": "method not allowed for this path; see /openapi.json"})


def test_full_queue_tells_when_to_retry(client: Client, model: FakeModel) -> None:
    model.may_answer.clear()
    send_four = lambda: client.post("/predict/batch", {"texts": ["a"] * 4})[0]  # noqa: E731
    with threads_of([send_four] * 3) as statuses:  # the first is in progress; the others fill the queue
        try:
            wait_until(lambda: client.counters()["serve_waiting_texts"] >= 8)
            status, answer, headers = client.request("POST", "/predict", {"text": "a"})
            assert (status, answer) == (503, {"error": "too many texts are waiting; try again in a second"})
            assert headers["retry-after"] == "1"
            assert client.get("/ready")[0] == 503
            assert client.get("/health")[0] == 200
        finally:
            model.may_answer.set()
    assert statuses == [200, 200, 200]
    assert client.get("/ready")[0] == 200


def test_waiting_requests_are_predicted_together(client: Client, model: FakeModel) -> None:
    model.may_answer.clear()
    model.calls.clear()
    with threads_of([lambda: client.post("/predict", {"text": "a"})] * 6):
        wait_until(lambda: client.counters()["serve_waiting_texts"] >= 5)
        model.may_answer.set()
    assert model.calls == [1, 5]


def test_explanation_is_dropped_if_the_client_disconnects(client: Client, model: FakeModel) -> None:
    model.may_answer.clear()
    model.calls.clear()
    request = b"POST /explain HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n"
    request += b'{"text": "a"}'
    first, second = (socket.create_connection(("127.0.0.1", client.port), timeout=10) for _ in range(2))
    with first, second:
        first.sendall(request)
        wait_until(lambda: model.calls)
        second.sendall(request)
        wait_until(lambda: client.counters()["serve_waiting_explanations"] >= 1)
        second.close()
        for _ in range(5):  # meanwhile the service notices
            client.get("/health")
        model.may_answer.set()
        assert first.recv(4_096).startswith(b"HTTP/1.1 200 ")
    assert client.post("/predict", {"text": "a"})[0] == 200
    assert len(model.calls) == 2


def test_logs_and_metrics_contain_no_text(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    canary = "canary7q"
    assert client.post("/predict", {"text": canary})[0] == 200
    assert client.post("/predict/batch", {"texts": [canary, None]})[0] == 422
    assert client.post("/explain", {"text": canary})[0] == 200
    assert client.post("/predict", {canary: canary})[0] == 422
    assert client.post(f"/predict?text={canary}", {"text": canary})[0] == 200
    headers = {"user-agent": canary, "x-canary7q": canary}
    assert client.request("GET", f"/{canary}?{canary}", headers=headers)[0] == 404
    assert client.request(canary.upper().replace("7", ""), "/predict")[0] in {400, 405}
    failed = client.post("/predict", {"text": f"fail {canary}"})
    assert failed == (500, {"error": "internal error; the service's log shows where"})
    assert client.post("/explain", {"text": f"fail {canary}"})[0] == 500
    assert len(caplog.records) >= 9
    assert "canary" not in caplog.text.lower()
    assert "POST /predict 200" in caplog.text
    assert re.search(r"/predict failed: ValueError at service\.py:\d+", caplog.text)
    assert "canary" not in client.get("/metrics")[1].lower()


def test_metrics_count_requests_and_texts(client: Client) -> None:
    before = client.counters()
    client.post("/predict", {"text": "a"})
    client.get("/unknown-path")
    after = client.counters()

    def increase(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert increase('serve_requests_total{method="POST",path="/predict",status="200"}') == 1
    assert increase('serve_requests_total{method="GET",path="other",status="404"}') == 1
    assert increase('serve_request_seconds_count{path="/predict"}') == 1
    assert increase("serve_batch_texts_sum") == 1
    assert after['serve_model_info{name="moods",version="1"}'] == 1


def test_every_path_is_counted_under_its_name(client: Client) -> None:
    paths = set(client.get("/openapi.json")[1]["paths"])
    assert paths == {"/predict", "/predict/batch", "/explain", "/model", "/health", "/ready", "/metrics"}
    for path in (*paths, "/", "/page.css", "/page.js", "/icon.svg", "/openapi.json"):
        client.get(path)
        assert f'serve_request_seconds_count{{path="{path}"}}' in client.counters()


def test_page_loads_nothing_from_other_hosts(client: Client) -> None:
    for path in ("/", "/page.css", "/page.js", "/icon.svg"):
        status, content, headers = client.request("GET", path)
        assert status == 200
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"(src|href|url\(|import|fetch\()[=\s\"'(]*(https?:)?//", content), path
        assert " style=" not in content  # the policy would block it
        assert "onclick" not in content


def test_openapi_shows_the_limits(client: Client) -> None:
    schemas = client.get("/openapi.json")[1]["components"]["schemas"]
    assert schemas["PredictRequest"]["properties"]["text"]["maxLength"] == 20
    assert schemas["BatchRequest"]["properties"]["texts"]["maxItems"] == 5
    assert schemas["BatchRequest"]["properties"]["texts"]["items"]["maxLength"] == 20


def test_service_does_not_import_heavy_libraries() -> None:
    heavy = "{'tensorflow', 'keras', 'sklearn', 'mlflow', 'matplotlib', 'great_expectations'}"
    code = f"import sys, pipeline.serving.app; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_port_in_use_is_an_error_and_the_default_host_is_local(client: Client) -> None:
    with pytest.raises(PipelineError, match=rf"cannot listen at --host 127.0.0.1 --port {client.port}: .*in use"):
        app.main(["--port", str(client.port)])


def test_limit_of_zero_is_an_error() -> None:
    with pytest.raises(PipelineError, match="--max-texts must be above 0, got 0"):
        app.main(["--max-texts", "0"])


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\n",
        b"GET /" + b"x" * 50_000 + b" HTTP/1.1\r\n",
        b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n" * 3 + b"GET / HTTP/1.1\r\n",
    ],
)
def test_large_head_is_refused(client: Client, start: bytes) -> None:
    """It was taken in whole, 219 MB of it."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        sent = 0
        with suppress(ConnectionError):
            connection.sendall(start)
            while sent < 50_000_000:
                connection.sendall(b"x-%d: %s\r\n" % (sent, b"y" * 1_000))
                sent += 1_000
        assert sent < 50_000_000
        with suppress(ConnectionError):  # unread data may reset the connection before the answer is read
            answers = b"".join(iter(lambda: connection.recv(10_000), b""))
            assert answers.endswith(TOO_LARGE_HEAD)
    assert client.get("/health")[0] == 200


def test_head_request_gets_the_head_only(client: Client) -> None:
    for path, status in (("/", b"200"), ("/health", b"200"), ("/ready", b"200"), ("/predict", b"405")):
        answer = client.send_raw(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.endswith(b"\r\n\r\n")
    assert client.post("/predict/", {"text": "a"})[0] == 404


def test_half_a_body_is_not_logged_as_a_request(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="serve")
    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        connection.sendall(b'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"te')
    assert client.post("/predict", {"text": "a"})[0] == 200

    def logged() -> list[str]:
        return [message for message in caplog.messages if "POST /predict " in message]

    lines = wait_until(logged)
    assert [line.split()[2] for line in lines] == ["200"]


def test_body_of_exactly_the_limit_is_accepted(client: Client) -> None:
    assert client.post("/predict", json.dumps({"text": "x" * 20}).encode().ljust(2_000))[0] == 200
    assert client.post("/predict", json.dumps({"text": "x" * 20}).encode().ljust(2_001))[0] == 413


def test_retry_after_only_where_a_retry_helps(client: Client) -> None:
    for body, expected in ((b" " * 2_001, 413), (b'{"text": "fail"}', 500)):
        status, _, headers = client.request("POST", "/predict", body)
        assert (status, "retry-after" in headers) == (expected, False)


def test_answers_are_not_cached(client: Client) -> None:
    for path in ("/", "/model", "/metrics"):
        assert client.request("GET", path)[2]["cache-control"] == "no-store"


def test_errors_and_unknown_methods_are_counted(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="serve")
    before = client.counters()
    assert client.post("/predict", {"text": "fail"})[0] == 500
    for method in ("HEAD", "PROPFIND", "UNSUBSCRIBE"):
        assert client.send_raw(f"{method} /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    after = client.counters()

    def increase(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    assert increase("serve_errors_total") == 1
    assert increase('serve_requests_total{method="HEAD",path="/health",status="200"}') == 1
    assert increase('serve_requests_total{method="other",path="/health",status="405"}') == 2
    logged = [record.getMessage().split()[:3] for record in caplog.records]
    assert ["PROPFIND", "/health", "405"] in logged  # too short to be a text
    assert ["other", "/health", "405"] in logged


def test_service_follows_an_alias_but_not_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SimpleNamespace(address="sqlite:///moods.db", versions=SimpleNamespace(get=lambda name, which: which))
    monkeypatch.setattr(app.tracking, "connect", lambda: store)
    monkeypatch.setattr(app, "load_version", lambda store, version: loaded_model(FakeModel(), "3"))
    assert app.load_model("champion", "moods")[1:] == (store, "champion")
    assert app.load_model("3", "moods")[1:] == (None, "")
