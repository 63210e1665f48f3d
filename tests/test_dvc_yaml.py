"""The graph: deps, params and outs in dvc.yaml are all that a stage uses, proven by giving it nothing else."""

import ast
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from helpers.project import ROOT, Project, copy_project, set_params
from ruamel.yaml import YAML

from pipeline.base.files import sha256
from pipeline.base.modalities import MODALITIES
from pipeline.base.params import SECTIONS

ORDER = ["ingest", "validate", "clean", "tokenize", "rebalance", "train", "evaluate"]

GRAPH = re.sub(r"\$\{ingest\.\w+\}", "data/none", (ROOT / "dvc.yaml").read_text(encoding="utf-8"))

STAGES: dict[str, Any] = YAML(typ="safe").load(GRAPH)["stages"]
# It writes to MLflow only, and no stage's output depends on it: see the test with tracking off below.
UNLISTED = "pipeline/registry/"
# What a module reads next to itself.
READ = {"pipeline/reports/page.py": "pipeline/reports/templates"}

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
    "gate": {"max_loss_rise": "0.5"},
}


def imported(module: str, seen: set[str], *, without: str = UNLISTED) -> set[str]:
    """Return the project's files that a file imports, also through another one, but for those in `without`."""
    if module in seen or (without and module.startswith(without)):
        return seen
    source = (ROOT / module).read_text(encoding="utf-8")
    seen.add(module)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = Path(module).parents[node.level - 1] / Path(*(node.module or "").split("."))
            names = [package / alias.name for alias in node.names]
            for name in [package, *names]:
                if (ROOT / name).with_suffix(".py").is_file():
                    imported(name.with_suffix(".py").as_posix(), seen, without=without)
        for file in imported_by_name(module, node):
            imported(file, seen, without=without)
    return seen


def imported_by_name(module: str, node: ast.AST) -> list[str]:
    """Return what a call imports for every modality, see `base.modalities.module_of`."""
    if module == "pipeline/base/modalities.py" or not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return []
    places = {"modality": "{}/modality", "rules": "data/rules/{}", "encoder": "training/encoders/{}"}
    places["evaluation"] = "evaluation/{}/kind"
    wanted = {"modality": "modality", "module_of": getattr(node.args[0], "value", "") if node.args else ""}
    place = places.get(wanted.get(node.func.id, ""), "")
    return [f"pipeline/{place.format(name)}.py" for name in MODALITIES if place]


# What checks the sections of other stages and commands, and what it imports: `params.load` imports it by name.
SECTION_MODULES = {f"pipeline/{place.partition(':')[0].replace('.', '/')}.py" for place in SECTIONS.values()}
SETTINGS = sorted({file for module in SECTION_MODULES for file in imported(module, set(), without="")})


def covers(dep: str, file: str) -> bool:
    return Path(file).is_relative_to(dep)


def files_in(folder: str) -> list[str]:
    files = (file for file in (ROOT / folder).rglob("*") if file.is_file() and file.suffix != ".pyc")
    return [file.relative_to(ROOT).as_posix() for file in files]


def outs(stage: str) -> list[str]:
    return [out if isinstance(out, str) else next(iter(out)) for out in STAGES[stage]["outs"]]


def digests(folder: Path, stage: str) -> dict[str, str]:
    """SHA-256 of every file that a stage made."""
    files = [file for out in outs(stage) for file in [folder / out, *(folder / out).rglob("*")] if file.is_file()]
    return {str(file.relative_to(folder)): sha256(file) for file in files}


def code_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")]


def test_stages_are_in_order() -> None:
    assert list(STAGES) == ORDER
    publish = "python -m pipeline publish --after-evaluate"
    commands = [f"python -m pipeline.{name}" for name in ORDER[:-1]] + [["python -m pipeline.evaluate", publish]]
    assert [STAGES[name]["cmd"] for name in ORDER] == commands
    made_by = {out: name for name in ORDER for out in outs(name)}
    for before, stage in itertools.pairwise(ORDER):
        makers = {name for dep in STAGES[stage]["deps"] for out, name in made_by.items() if covers(out, dep)}
        assert before in makers, f"{stage} does not follow {before}"
    assert all(covers(f"data/{name}", out) for out, name in made_by.items())


@pytest.mark.parametrize("stage", ORDER)
def test_every_imported_module_is_covered(stage: str) -> None:
    deps = code_deps(stage)
    files = imported(f"pipeline/{stage}.py", set())
    files |= {READ[file] for file in files & set(READ)}
    missing = [file for file in files if not any(covers(dep, file) for dep in deps)]
    assert not missing
    assert {"requirements.lock", "pipeline/__init__.py"} <= set(STAGES[stage]["deps"])


@pytest.mark.parametrize("stage", ORDER)
def test_nothing_listed_is_unused(stage: str) -> None:
    files = imported(f"pipeline/{stage}.py", {"pipeline/__init__.py"}) | {f"pipeline/{stage}.py"}
    files |= {READ[file] for file in files & set(READ)}
    assert not [dep for dep in code_deps(stage) if not any(covers(dep, file) for file in files)]


def test_stages_import_no_stage_and_no_program() -> None:
    for stage in ORDER:
        others = {f"pipeline/{name}.py" for name in [*ORDER, "publish"]} - {f"pipeline/{stage}.py"}
        assert not imported(f"pipeline/{stage}.py", set()) & others


@pytest.mark.parametrize("knob", ["gate", "retrain", "drift", "publish"])
def test_gate_retrain_and_drift_rules_change_no_state(knob: str) -> None:
    """Neither their values nor their code: a change opens no new state, so no training and no run."""
    assert not any(knob in STAGES[stage]["params"] for stage in ORDER)
    code = {"gate": "registry/gate.py", "retrain": "nightly/retrain.py", "drift": "evaluation/drift.py"}
    settings = SECTIONS[knob].partition(":")[0].replace(".", "/") + ".py"
    for file in (code.get(knob, "publish.py"), settings):
        assert (ROOT / "pipeline" / file).is_file()
        assert not [dep for dep in code_deps("train") if covers(dep, f"pipeline/{file}")]


@pytest.mark.parametrize("stage", ORDER)
def test_stage_lists_the_parameters_it_reads(stage: str) -> None:
    more = {"clean": ["ingest.skew"], "tokenize": ["train.preset"]}.get(stage, [])
    assert STAGES[stage]["params"] == [stage, *more]


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param(stage, marks=pytest.mark.slow if stage in {"validate", "train", "evaluate"} else ())
        for stage in ORDER
    ],
)
def test_declared_inputs_suffice_for_the_same_bytes(reference: Project, tmp_path: Path, stage: str) -> None:
    entry = STAGES[stage]
    code = {file for dep in code_deps(stage) for file in [dep, *files_in(dep)]} | set(SETTINGS) | {"requirements.lock"}
    for file in (ROOT / UNLISTED).rglob("*.py"):
        imported(file.relative_to(ROOT).as_posix(), code, without="")
    packages = {f"{folder}/__init__.py" for file in code for folder in Path(file).parents if folder != Path()}
    alone = copy_project(tmp_path, sorted(code | packages))
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
