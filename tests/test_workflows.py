"""Workflows: valid, safe by zizmor's audits, pinned, and without logic of their own."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.project import ROOT, clean_environment, copy_project

from pipeline.base.files import read_yaml

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

BLOCKS = {"cat", "gh", "make", ".ci/run"}  # what a step may call


def call(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)


def steps(workflow: Any) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_expected_workflows_exist() -> None:
    assert [file.stem for file in WORKFLOWS] == ["ci", "retrain", "watch"]


def test_workflows_follow_the_schema(tmp_path: Path) -> None:
    check = ("check-jsonschema", "--builtin-schema", "vendor.github-workflows")
    done = call(*check, *map(str, WORKFLOWS))
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("runs-on:", "runs_on:"))
    assert call(*check, str(wrong)).returncode != 0


def test_zizmor_finds_nothing(tmp_path: Path) -> None:
    done = call("zizmor", "--offline", "--no-progress", "--collect=workflows", str(ROOT / ".github/workflows"))
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / ".github/workflows/wrong.yml"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(WORKFLOWS[0].read_text(encoding="utf-8").replace("make compare", "echo ${{ github.head_ref }}"))
    assert call("zizmor", "--offline", "--no-progress", str(wrong)).returncode != 0


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_are_pinned_and_least_privileged(file: Path) -> None:
    workflow = read_yaml(file)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 300
        writes = [key for key, value in job["permissions"].items() if value == "write"]
        assert set(writes) <= {"contents", "pull-requests", "issues"}
        assert "contents" not in writes or file.stem == "retrain"
    for step in steps(workflow):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+(/\w+)?@[0-9a-f]{40}", step["uses"])
        else:
            assert "\n" not in step["run"].strip()
            assert step["run"].split()[0] in BLOCKS
            assert "${{" not in step["run"]
    secret = re.findall(r"secrets\.\w+", file.read_text(encoding="utf-8"))
    assert not secret or file.stem in {"retrain", "watch"}


def test_workflows_use_existing_make_targets() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for file in WORKFLOWS:
        for step in steps(read_yaml(file)):
            words = step.get("run", "").split('"')[0].split()
            if words[:1] == ["make"]:
                assert {word for word in words[1:] if "=" not in word} <= targets


def test_running_retraining_is_not_cancelled() -> None:
    workflow = read_yaml(ROOT / ".github/workflows/retrain.yml")
    assert workflow["concurrency"] == {"group": "retrain", "cancel-in-progress": False}
    assert {"schedule", "workflow_dispatch"} == set(workflow["on"])


def stand_in(folder: Path) -> Path:
    """Put a `gh` into a folder that answers with $ISSUE or $STATE; give the file that it writes its calls to."""
    calls, gh = folder / "calls", folder / "gh"
    answers = '"issue list") echo "$ISSUE";; "pr view") echo "$STATE";;'
    gh.write_text(f'#!/bin/sh\necho "$@" >> {calls}\ncase "$1 $2" in {answers} esac\n')
    gh.chmod(0o755)
    return calls


@pytest.mark.skipif(not shutil.which("make"), reason="no make is installed")
def test_alert_opens_one_issue(tmp_path: Path) -> None:
    """`make alert` and `make pull-request` with a stand-in for GitHub's command line, which writes down its calls."""
    calls = stand_in(tmp_path)
    environment = clean_environment() | {
        "GITHUB_SERVER_URL": "https://x",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_RUN_ID": "7",
    }
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    for issue, wanted in (
        ("", "issue create --label retraining --title It failed"),
        ("12", "issue comment 12 --body It failed"),
    ):
        calls.unlink(missing_ok=True)
        command = ["make", "--silent", "alert", "WHAT=It failed"]
        subprocess.run(command, cwd=ROOT, env=environment | {"ISSUE": issue}, check=True, capture_output=True)
        assert wanted in calls.read_text()
        assert "https://x/a/b/actions/runs/7" in calls.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("make"), reason="no make is installed")
def test_pull_request_is_opened_once_for_waiting_results(tmp_path: Path) -> None:
    calls = stand_in(tmp_path)
    clone = tmp_path / "clone"
    environment = clean_environment() | {"GITHUB_REF_NAME": "main", "STATE": ""}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"

    def git(*arguments: str) -> None:
        named = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *named, *arguments], cwd=clone, env=environment, check=True, capture_output=True)

    def asked(**also: str) -> str:
        calls.write_text("")
        make = ["make", "--silent", "--old-file=env", "pull-request"]  # the environment is there
        subprocess.run(make, cwd=clone, env=environment | also, check=True, capture_output=True)
        return calls.read_text()

    project = copy_project(clone)
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert asked() == ""  # retrain.branch is null
    project.set(branch="retrain")
    assert asked() == ""  # nothing was ever delivered
    git("update-ref", "refs/remotes/origin/retrain", "HEAD")
    assert asked() == ""  # all of it is merged
    git("commit", "-q", "-am", "results")
    git("update-ref", "refs/remotes/origin/retrain", "HEAD")
    assert "pr create --base main --head retrain" in asked()
    assert "pr create --base main --head retrain" in asked(STATE="MERGED")
    assert "pr create" not in asked(STATE="OPEN")
