"""The graph: deps, params and outs in dvc.yaml are all that a stage uses, proven by giving it nothing else."""

import ast
import hashlib
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project, copy_project, set_params
from ruamel.yaml import YAML

from pipeline.files import read_yaml, sha256

ORDER = ["ingest", "validate", "clean", "tokenize", "rebalance", "train", "evaluate"]
GRAPH = re.sub(r"\$\{ingest\.\w+\}", "data/none", (ROOT / "dvc.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, Any] = YAML(typ="safe").load(GRAPH)["stages"]
# They write to MLflow alone, and no stage's output depends on them: see the test with tracking off below.
UNLISTED = {"tracking", "store", "publish"}

# Another valid value for a key of each section: what a stage does not declare must not matter to it.
OTHER = {
    "ingest": {"max_rows": "1400"},
    "retrain": {"min_new_rows": "7"},
    "drift": {"max_psi": "0.2"},
    "validate": {"max_imbalance": "40.0"},
    "clean": {"split_seed": "1"},
    "tokenize": {"length": "16"},
    "rebalance": {"strategy": "none"},
    "train": {"units": "4"},
    "evaluate": {"length_bounds": "[5, 6]"},
    "publish": {"experiment": "other", "model": "other"},
    "gate": {"margin": "0.5"},
}


def imported(module: str, seen: set[str], *, without: frozenset[str] = frozenset(UNLISTED)) -> set[str]:
    """The package's modules that a module imports, also through another one."""
    if module not in seen | without:
        seen.add(module)
        for node in ast.walk(ast.parse((ROOT / f"pipeline/{module}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                for name in [node.module] if node.module else [alias.name for alias in node.names]:
                    imported(name, seen, without=without)
    return seen


def outs(stage: str) -> list[str]:
    return [out if isinstance(out, str) else next(iter(out)) for out in STAGES[stage]["outs"]]


def digests(folder: Path, stage: str) -> dict[str, str]:
    """SHA-256 of every file that a stage made."""
    files = [file for out in outs(stage) for file in [folder / out, *(folder / out).rglob("*")] if file.is_file()]
    return {str(file.relative_to(folder)): sha256(file) for file in files}


def test_the_stages_in_order() -> None:
    assert list(STAGES) == ORDER
    assert [STAGES[name]["cmd"] for name in ORDER] == [f"python -m pipeline.{name}" for name in ORDER]
    made_by = {out: name for name in ORDER for out in outs(name)}
    for before, stage in itertools.pairwise(ORDER):
        assert before in {made_by.get(dep) for dep in STAGES[stage]["deps"]}, f"{stage} does not follow {before}"
    assert all(out.startswith(f"data/{name}/") for out, name in made_by.items())


@pytest.mark.parametrize("stage", ORDER)
def test_the_modules_among_the_deps_are_those_imported(stage: str) -> None:
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")}
    assert listed == {f"pipeline/{module}.py" for module in imported(stage, set()) | {"__init__"}}
    assert "requirements.lock" in STAGES[stage]["deps"]


@pytest.mark.parametrize("stage", ORDER)
def test_the_params_are_those_that_decide_its_section(stage: str) -> None:
    more = {"clean": ["ingest.skew"], "tokenize": ["train.preset"]}.get(stage, [])
    assert STAGES[stage]["params"] == [stage, *more]


@pytest.mark.parametrize("stage", ORDER)
def test_the_committed_lock_is_of_this_code(stage: str) -> None:
    """If this fails: `make repro`, then commit dvc.lock and data/evaluate/metrics.json."""
    recorded = {dep["path"]: dep["md5"] for dep in read_yaml(ROOT / "dvc.lock")["stages"][stage]["deps"]}
    code = {path: md5 for path, md5 in recorded.items() if not path.startswith("data/")}
    assert code == {path: hashlib.md5((ROOT / path).read_bytes(), usedforsecurity=False).hexdigest() for path in code}


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=pytest.mark.slow if stage in {"train", "evaluate"} else ()) for stage in ORDER]
)
def test_declared_inputs_alone_give_the_same_bytes_untracked(reference: Project, tmp_path: Path, stage: str) -> None:
    entry = STAGES[stage]
    modules = set().union(*(imported(module, set(), without=frozenset()) for module in UNLISTED))
    unlisted = [f"pipeline/{module}.py" for module in modules]  # with what they import
    alone = copy_project(tmp_path, [d for d in entry["deps"] if not d.startswith("data/")] + unlisted)
    if stage == "train":  # its state is a hash of what dvc.yaml lists; DVC runs a stage again whose entry has changed
        copy_project(tmp_path, ["dvc.yaml"])
    for dep in (d for d in entry["deps"] if d.startswith("data/")):
        files = [p for p in [reference.folder / dep, *(reference.folder / dep).rglob("*")] if p.is_file()]
        for file in files:
            target = tmp_path / file.relative_to(reference.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    text = (reference.folder / "params.yaml").read_text(encoding="utf-8")
    for section, values in OTHER.items():
        if section not in entry["params"]:
            head, body = text.split(f"\n{section}:\n")
            text = f"{head}\n{section}:\n" + set_params(body, values)
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    assert text != (reference.folder / "params.yaml").read_text(encoding="utf-8")

    alone.run("python", "-m", f"pipeline.{stage}", PIPELINE_TRACKING="off")

    assert digests(tmp_path, stage) == digests(reference.folder, stage)
    assert not (tmp_path / "mlflow.db").exists()
