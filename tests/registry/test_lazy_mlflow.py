"""MLflow is imported in one place, and only when it is needed."""

import ast
import subprocess
import sys

import pytest
from helpers.project import ROOT

from pipeline.registry import lazy_mlflow

# probe.py runs as a script, without this project.
IMPORTERS = {"pipeline/registry/lazy_mlflow.py", "pipeline/registry/probe.py"}


def imports_mlflow(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if any(module.split(".")[0] == "mlflow" for module in modules):
            return True
    return False


def test_one_module_imports_mlflow() -> None:
    files = [file for file in (ROOT / "pipeline").rglob("*.py") if imports_mlflow(file.read_text(encoding="utf-8"))]
    assert {file.relative_to(ROOT).as_posix() for file in files} == IMPORTERS


def test_start_up_does_not_import_mlflow() -> None:
    code = "import sys, pipeline.publish, pipeline.train, pipeline.tools.promote; print('mlflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_name_exists() -> None:
    assert all(getattr(lazy_mlflow, name) for names in lazy_mlflow.MLFLOW_NAMES.values() for name in names)
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        lazy_mlflow.Nonsense  # noqa: B018
