"""Aliases, descriptions and training data of registered versions."""

from pathlib import Path

import pytest

from pipeline.base.errors import PipelineError
from pipeline.registry.store import Store
from pipeline.registry.versions import MODEL_DIGEST


def test_learned_from_lists_training_and_validation_tables(store: Store) -> None:
    run = store.runs.open("a" * 64)
    names = {"training": "train", "validation": "validation", "test": "test"}
    tables = {context: (Path(f"{name}.parquet"), name * 9, 10) for context, name in names.items()}
    store.runs.log_datasets(run, "tweets", tables)
    store.client.create_registered_model("m")
    store.client.create_model_version("m", "somewhere", run.info.run_id)
    store.client.create_model_version("m", "elsewhere")
    learned = {version: sorted(digests) for version, digests in store.versions.learned_from("m")}
    assert learned == {"1": ["train" * 9, "validation" * 9], "2": []}


def test_description_by_a_person_stays(store: Store) -> None:
    store.client.create_registered_model("m")
    store.versions.describe_model("m", "ours")
    assert store.client.get_registered_model("m").description == "ours"
    store.client.update_registered_model("m", "a person's")
    store.versions.describe_model("m", "ours, changed")
    assert store.client.get_registered_model("m").description == "a person's"


def test_versions_are_found_by_alias_number_and_digest(store: Store) -> None:
    store.client.create_registered_model("m")
    first, second = (
        store.client.create_model_version("m", "somewhere", tags={MODEL_DIGEST: digest}) for digest in ("d", "e")
    )
    store.versions.move_alias("challenger", first)
    store.versions.drop_alias("challenger", second)  # which does not have it
    assert store.versions.get("m", "challenger").version == first.version
    store.versions.drop_alias("challenger", first)
    assert store.versions.find("m", "challenger") is None
    assert store.versions.get("m", "2").version == second.version
    assert (store.versions.find("m", "3"), store.versions.find("other", "1")) == (None, None)
    with pytest.raises(PipelineError, match="has no 3 of model m; `make repro` registers one"):
        store.versions.get("m", "3")
    matches = [store.versions.with_digest("m", digest) for digest in ("d", "e", "f")]
    assert [version and version.version for version in matches] == [first.version, second.version, None]
