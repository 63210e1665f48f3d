"""Card: write the model card of what `data/` holds, as Markdown and HTML."""

from collections.abc import Sequence
from typing import Any

from ..base import command, paths, versioning
from ..base.files import read_json
from ..inference.manifest import read_manifest
from ..registry import packaging, tracking
from ..registry.settings import model_name
from ..reports import figures
from ..reports.card import DECISION, write


def registered() -> dict[str, Any]:
    """`version` and `decision`, as `markdown` takes them, of the current model, as far as registry and reports tell."""
    if not tracking.enabled():
        return {}
    name, digest = model_name(), packaging.digest(read_manifest(paths.TRAIN_MODEL))
    store = tracking.connect()
    with tracking.store_errors(store.address):
        version = store.versions.with_digest(name, digest)
    if version is None:
        return {}
    decided = read_json(DECISION) if DECISION.is_file() else {}
    of_it = decided.pop("version", "") == f"{name} version {version.version}"
    return {"version": str(version.version)} | ({"decision": decided} if of_it else {})


def main(arguments: Sequence[str] | None = None) -> None:
    command.parser("card", __doc__, example="").parse_args(arguments)
    figures.render(paths.REPORTS / "evaluate")
    files = write(**registered(), **versioning.commit())
    print("model card: " + ", ".join(str(file) for file in files))
