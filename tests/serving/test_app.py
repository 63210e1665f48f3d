"""The service over HTTP: answers, refusals, limits, logs without texts, and the command that starts it."""

import json
import logging
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from helpers.project import ROOT, Project
from helpers.service import Client, FakeModel, loaded_model, running_service, wait_until

from pipeline.base.errors import PipelineError
from pipeline.data import datasets
from pipeline.serving import app
from pipeline.serving.champion import load_folder

LIMITS = {"max_length": 20, "max_texts": 5, "max_body": 2_000, "max_waiting": 8, "timeout": 5.0, "threads": 1}


@pytest.fixture(scope="module")
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture(scope="module")
def client(model: FakeModel) -> Iterator[Client]:
    """A client of a service with low limits."""
    with running_service(model, **LIMITS) as client:
        yield client


def counters(client: Client) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in client.get("/metrics")[1].splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


@contextmanager
def threads_of(requests: list[Callable[[], Any]]) -> Iterator[list[Any]]:
    """Send requests at the same time; the list gets their answers, and is complete after the block."""
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda send=send: answers.append(send())) for send in requests]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        for thread in threads:
            thread.join()


def test_predict_one_text(client: Client) -> None:
    status, answer = client.post("/predict", {"text": "four"})
    assert status == 200
    assert answer == {
        "predicted_label": "glad",
        "confidence": 0.5,
        "probabilities": {"sad": 0.25, "glad": 0.5, "angry": 0.25},
        "model": "moods version 1",
    }


def test_batch_keeps_the_order_of_texts(client: Client) -> None:
    status, answer = client.post("/predict/batch", {"texts": ["", "a", "bb", "ccc", "a"]})
    assert status == 200
    labels = [prediction["predicted_label"] for prediction in answer["predictions"]]
    assert labels == ["sad", "glad", "angry", "sad", "glad"]
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


def test_nul_emoji_and_empty_text_are_valid(client: Client) -> None:
    for text in ("\0", "😀", ""):
        assert client.post("/predict", {"text": text})[0] == 200


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
            wait_until(lambda: counters(client)["serve_waiting_texts"] >= 8)
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
        wait_until(lambda: counters(client)["serve_waiting_texts"] >= 5)
        model.may_answer.set()
    assert model.calls == [1, 5]


def test_slow_answer_and_slow_body_time_out() -> None:
    model = FakeModel()
    with running_service(model, timeout=0.3, threads=1) as client:
        model.may_answer.clear()
        status, answer, headers = client.request("POST", "/predict", {"text": "a"})
        assert (status, headers["retry-after"]) == (503, "1")
        assert answer == {"error": "no answer within 0.3 seconds; send fewer texts or try again"}
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            assert connection.recv(4_096).startswith(b"HTTP/1.1 408 ")
        model.may_answer.set()
        assert client.post("/predict", {"text": "a"})[0] == 200


def test_shutdown_finishes_requests_in_progress() -> None:
    model = FakeModel()
    answers: list[tuple[int, Any]] = []
    with running_service(model, threads=1) as client:
        model.may_answer.clear()
        thread = threading.Thread(target=lambda: answers.append(client.post("/predict", {"text": "a"})))
        thread.start()
        wait_until(lambda: model.calls)
        threading.Timer(0.3, model.may_answer.set).start()
    thread.join()
    assert [status for status, _ in answers] == [200]


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
        wait_until(lambda: counters(client)["serve_waiting_explanations"] >= 1)
        second.close()
        for _ in range(5):  # meanwhile the service notices
            client.get("/health")
        model.may_answer.set()
        assert first.recv(4_096).startswith(b"HTTP/1.1 200 ")
    assert client.post("/predict", {"text": "a"})[0] == 200
    assert len(model.calls) == 2


def test_explanations_are_limited_and_do_not_delay_predictions() -> None:
    explainer = FakeModel()
    explainer.may_answer.clear()
    with running_service(FakeModel(), explainer, threads=1, max_explanations=3) as client:
        with threads_of([lambda: client.post("/explain", {"text": "a"})[0]] * 8) as statuses:
            try:
                wait_until(lambda: len(statuses) == 4 and counters(client)["serve_waiting_explanations"] == 3)
                for _ in range(20):
                    assert client.post("/predict", {"text": "a"})[0] == 200
                assert client.get("/ready")[0] == 200
            finally:
                explainer.may_answer.set()
        assert counters(client)["serve_explanation_seconds_count"] == 4
    assert statuses == [503] * 4 + [200] * 4
    assert explainer.calls == [1] * 4


@pytest.mark.slow  # a quarter of a minute
def test_64_long_explanations_leave_predictions_fast_and_memory_small(reference: Project) -> None:
    model = load_folder(reference.folder / "data/train/model")
    tweets = datasets.tweets()["text"].to_list()
    longest = [" ".join(tweets[start : start + 300])[:20_000] for start in range(0, 64 * 300, 300)]
    assert {len(text) for text in longest} == {20_000}
    statuses: list[int] = []
    with running_service(model.predictor, model.explainer) as client:
        explain = lambda text: statuses.append(client.post("/explain", {"text": text})[0])  # noqa: E731
        client.post("/explain", {"text": longest[0]})
        before, seconds = psutil.Process().memory_info().rss, []
        threads = [threading.Thread(target=explain, args=(text,)) for text in longest]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            started = time.perf_counter()
            assert client.post("/predict", {"text": tweets[len(seconds)]})[0] == 200
            seconds.append(time.perf_counter() - started)
        growth = psutil.Process().memory_info().rss - before
        assert client.post("/explain", {"text": "short again"})[0] == 200
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 0
    assert len(seconds) > 20
    assert sorted(seconds)[int(0.99 * len(seconds))] < 1  # with one queue for both: 10, and 503
    assert growth < 200_000_000


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
    before = counters(client)
    client.post("/predict", {"text": "a"})
    client.get("/unknown-path")
    after = counters(client)

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
        assert f'serve_request_seconds_count{{path="{path}"}}' in counters(client)


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


def closed_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the service closes a connection within so many seconds."""
    connection.settimeout(seconds)
    try:
        return connection.recv(4_096) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    ("answered", "unfinished"),
    [
        (b"", b""),
        (b"", b"POST /predict HTTP/1.1\r\nHost:"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /predict HTTP/1.1\r\nHost:"),
    ],
)
def test_connection_without_a_full_head_is_closed(answered: bytes, unfinished: bytes) -> None:
    with (
        running_service(FakeModel(), timeout=0.5) as client,
        socket.create_connection(("127.0.0.1", client.port)) as connection,
    ):
        if answered:
            connection.sendall(answered)
            wait_until(lambda: connection.recv(4_096).endswith(b'{"status":"ok"}'))
        connection.sendall(unfinished)
        assert closed_within(connection, 3)


def test_client_that_does_not_read_is_disconnected() -> None:
    with running_service(FakeModel(), timeout=0.5, max_body=10**7, max_texts=10**5, max_waiting=10**6) as client:
        body = json.dumps({"texts": ["x"] * 80_000}).encode()
        head = f"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.connect(("127.0.0.1", client.port))
            slow.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)

            def held() -> bool:  # the service's end, in this process too
                return slow.getsockname() in [connection.raddr for connection in psutil.Process().net_connections()]

            wait_until(held)
            wait_until(lambda: not held())
            slow.settimeout(5)
            received = 0
            with suppress(ConnectionResetError):
                while part := slow.recv(1 << 20):
                    received += len(part)
        assert received < 4_000_000  # of about 10 MB: the content of the system's buffers
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
    before = counters(client)
    assert client.post("/predict", {"text": "fail"})[0] == 500
    for method in ("HEAD", "PROPFIND", "UNSUBSCRIBE"):
        assert client.send_raw(f"{method} /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    after = counters(client)

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
