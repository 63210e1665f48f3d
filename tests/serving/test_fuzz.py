"""Generated requests: each gets a documented answer in time, and the log contains nothing of them."""

import logging
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.project import Project
from helpers.service import running_service

from pipeline.serving.champion import load_folder
from pipeline.text.cleaning import clean_text

LINE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|TRACE|QUERY|other) (/[a-z/.]*|other) [1-4]\d\d \d+\.\d ms")


@pytest.mark.slow
def test_5000_requests_from_the_schema(reference: Project, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    model = load_folder(reference.folder / "data/train/model")
    with running_service(model.predictor, model.explainer, max_length=2_000, max_texts=50, timeout=60.0) as client:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{client.port}/openapi.json"]
        command += ["--max-examples", "1700", "--checks", "all", "--request-timeout", "70", "--seed", "0"]
        command += ["--continue-on-failure", "--no-color"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        status, _ = client.post("/predict", {"text": "still here"})
    assert done.returncode == 0, done.stdout[-6_000:]
    assert status == 200
    lines = [record.getMessage() for record in caplog.records if record.name == "serve"]
    assert len(lines) >= 5_000
    assert not [line for line in lines if not LINE.fullmatch(line)]
    others = {record.getMessage() for record in caplog.records if record.name.startswith("uvicorn")}
    assert len(others) < 10, others  # the server's own messages, which are constant


@pytest.mark.parametrize(
    "text",
    ["<!--" * 5_000, "http://" * 2_857, "a@" * 10_000, "@a" * 10_000, "1 2 3 " * 3_333, "&amp;" * 4_000, "Ã©" * 10_000],
    ids=["comment", "address", "mail", "user", "phone", "entity", "mojibake"],
)
def test_longest_texts_are_cleaned_fast(text: str) -> None:
    started = time.process_time()
    clean_text(text)
    assert time.process_time() - started < 2
