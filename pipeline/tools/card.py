"""Card: write the model card of the state in `data/`, as Markdown and HTML."""

from collections.abc import Sequence
from typing import Any

from ..base import command, paths, versioning
from ..base.files import read_json
from ..inference.manifest import read_manifest
from ..registry import packaging, tracking
from ..registry.settings import model_name
from ..reports.card import DECISION, write_card
from ..reports.figures import draw_figures


def registration() -> dict[str, Any]:
    """Return `version` and `decision` of the current model, as `card_markdown` takes them, where they are known."""
    if not tracking.enabled():
        return {}
    name, digest = model_name(), packaging.digest(read_manifest(paths.TRAIN_MODEL))
    store = tracking.connect()
    with tracking.store_errors(store.address):
        version = store.versions.with_digest(name, digest)
    if version is None:
        return {}
    decision = read_json(DECISION) if DECISION.is_file() else {}
    if decision.pop("version", "") != f"{name} version {version.version}":
        return {"version": str(version.version)}
    return {"version": str(version.version), "decision": decision}


def main(arguments: Sequence[str] | None = None) -> None:
    command.parser("card", __doc__, example="").parse_args(arguments)
    draw_figures(paths.REPORTS / "evaluate")
    files = write_card(**registration(), **versioning.commit())
    print("model card: " + ", ".join(str(file) for file in files))
