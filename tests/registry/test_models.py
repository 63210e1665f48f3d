"""Opening a model by folder or version; tests/serving and tests/tools open real ones."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base.errors import PipelineError
from pipeline.base.files import write_json
from pipeline.registry import tracking
from pipeline.registry.models import open_model, open_version

VERSION: Any = SimpleNamespace(name="m", version=3)


def store(error: Exception | None = None, **flavor: str) -> Any:
    """A store whose versions are downloaded with this description, or whose download fails."""

    def package(version: Any, folder: Path) -> Path:
        if error:
            raise error
        write_json(folder / "MLmodel", {"flavors": {"python_function": flavor}})  # JSON is YAML
        return folder

    versions = SimpleNamespace(package=package, get=lambda name, which: VERSION)
    return SimpleNamespace(address="sqlite:///moods.db", versions=versions)


OWN = {"data": "model", "loader_module": "emotion_1.inference.predictor", "code": "code"}


def test_folder(tmp_path: Path) -> None:
    write_json(tmp_path / "model.json", {"state": "s"})
    with open_model(str(tmp_path)) as model:
        assert (model.folder, model.code, model.manifest()) == (tmp_path, None, {"state": "s"})


def test_folder_without_manifest(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"is not a model folder: it has no model\.json"), open_model(str(tmp_path)):
        pytest.fail("opened")


def test_version_is_downloaded_for_the_block() -> None:
    with open_version(store(**OWN), VERSION) as model:
        package = model.folder.parent
        assert package.is_dir()
        assert (model.name, model.module, model.code) == ("m version 3", OWN["loader_module"], package / "code")
    assert not package.exists()


def test_alias_is_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "connect", lambda: store(**OWN))
    with open_model("champion", "m") as model:
        assert model.name == "m champion"


def test_foreign_model() -> None:
    message = "m version 3 was not made by this pipeline"
    with pytest.raises(PipelineError, match=message), open_version(store(data="model"), VERSION):
        pytest.fail("opened")


def test_failed_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the store, but not one of the code that uses the model, is reported as the store's."""
    down = store(ConnectionError("refused"))
    with pytest.raises(ConnectionError), open_version(down, VERSION):
        pytest.fail("opened")
    monkeypatch.setattr(tracking, "connect", lambda: down)
    with pytest.raises(PipelineError, match=r"the MLflow store .* failed \(refused\)"), open_model("champion", "m"):
        pytest.fail("opened")
    monkeypatch.setattr(tracking, "connect", lambda: store(**OWN))
    with pytest.raises(OSError, match="disk full"), open_model("champion", "m"):
        raise OSError("disk full")
