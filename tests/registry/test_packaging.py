"""The code and the packages of a registered model."""

import subprocess
import sys
from pathlib import Path

from pipeline.registry import packaging


def test_requirements_are_pinned() -> None:
    lines = packaging.requirements()
    assert sorted(line.split("==")[0] for line in lines) == sorted(packaging.SERVED_PACKAGES)
    assert all("hash" not in line and "\\" not in line for line in lines)
    assert not [line for line in lines if line.startswith(("keras", "tensorflow", "scikit-learn"))]


def test_served_code_does_not_import_the_project(tmp_path: Path) -> None:
    packaging.copy_code(tmp_path / "another_name", {"classes": ["glad", "sad"]})  # type: ignore[typeddict-item]
    code = "import sys, another_name.inference.predictor; print([m for m in sys.modules if m.startswith('pipeline')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
