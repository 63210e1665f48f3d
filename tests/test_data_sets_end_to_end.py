"""Slow (`make test-all`): every data set and the user's own files through `dvc repro`; bad input, and the way back."""

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.bad_files import CASES, csv, good
from helpers.faithfulness import faithfulness
from helpers.project import SMALL, Project, copy_project
from mlflow import MlflowClient

from pipeline.data import datasets

pytestmark = pytest.mark.slow


def project(folder: Path, **values: str) -> Project:
    made = copy_project(folder)
    (folder / "dvc.lock").unlink(missing_ok=True)
    made.set(**values)
    made.run("git", "init", "-q")
    return made


def figures(of: Project) -> dict[str, dict[str, float]]:
    loaded: dict[str, dict[str, float]] = json.loads((of.folder / "data/evaluate/metrics.json").read_text())
    return loaded


@pytest.mark.parametrize(
    ("dataset", "language", "accuracy"),
    [("tweets", "en", 0.70), ("rotten_tomatoes", "en", 0.68), ("chinese_reviews", "zh", 0.78), ("imdb", "en", 0.78)],
)
def test_packaged_data_set_with_default_parameters(
    tmp_path: Path, dataset: str, language: str, accuracy: float
) -> None:
    made = project(tmp_path, dataset=dataset)
    made.run("python", "-m", "pipeline", "params")
    made.run("dvc", "repro")
    result = figures(made)
    assert result["overall"]["accuracy"] > accuracy
    store = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = store.search_runs(["1"])
    assert run.data.params["tokenize.language"] == language
    assert store.get_model_version_by_alias(f"{dataset}-lstm", "champion")
    (tmp_path / "texts.csv").write_text("text\nI love it\n很好，我喜欢\n", encoding="utf-8")
    made.run("python", "-m", "pipeline", "predict", "texts.csv", "labels.csv")
    assert len(pd.read_csv(tmp_path / "labels.csv")) == 2
    if dataset == "tweets":  # on the 500 test rows of lowest hash
        test = pd.read_parquet(tmp_path / "data/clean/test.parquet").sort_values("id")
        gain, low, high = faithfulness(tmp_path / "data/train/model", test["text"].head(500).to_list())
        assert 0.3 < low < gain < high


def test_own_folder_with_groups_and_a_test_file(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        **{k: v for k, v in SMALL.items() if k != "max_rows"},
        dataset="file",
        path="own",
        test_path="own/test.jsonl",
        text_column="[text, again]",
        label_column="feeling",
        group_column="author",
    )
    tweets = datasets.tweets().drop_duplicates("text").head(5_000)
    table = tweets.assign(feeling=[f"gefühl {n % 50}" for n in range(5_000)], author=[n // 7 for n in range(5_000)])
    table["again"] = table["text"].str[:5]
    (tmp_path / "own/more").mkdir(parents=True)
    table.iloc[:2_000].to_csv(tmp_path / "own/a.csv.gz", index=False)
    table.iloc[2_000:4_000].to_parquet(tmp_path / "own/more/b.parquet")
    table.iloc[4_000:].to_json(tmp_path / "own/test.jsonl", orient="records", lines=True)
    made.run("dvc", "repro")
    result = figures(made)
    assert len(result["per_class"]) == 50
    splits = {
        name: pd.read_parquet(tmp_path / f"data/clean/{name}.parquet") for name in ("train", "validation", "test")
    }
    assert set(splits["test"]["source"]) == {"test.jsonl"}
    groups = pd.concat(splits).groupby("group")["split"].nunique()
    assert groups.max() == 1
    # The model knows its columns: no option names them.
    made.run("python", "-m", "pipeline", "predict", "own/a.csv.gz", "out.csv", "--model", "data/train/model")
    assert (pd.read_csv(tmp_path / "out.csv")["known_words"] > 0).mean() > 0.5


def test_bad_input_stops_and_good_input_restores_outputs(tmp_path: Path) -> None:
    made = project(tmp_path, **SMALL | {"min_rows": "200", "dataset": "file", "path": "own.csv"})
    (tmp_path / "own.csv").write_bytes(csv(good()))
    made.run("dvc", "repro")
    params, before = (tmp_path / "params.yaml").read_text(encoding="utf-8"), figures(made)
    for name, case in CASES.items():
        (tmp_path / "own.csv").unlink(missing_ok=True)
        case.write(tmp_path)
        made.set(**{"path": case.name.rstrip("/")} | case.params)
        done = made.run("dvc", "repro", check=False)
        assert done.returncode != 0, name
        assert case.message in done.stderr or name == "missing file", name  # DVC itself misses that
        assert "Traceback" not in done.stderr, name
        (tmp_path / "params.yaml").write_text(params, encoding="utf-8")
        if case.name == "own.csv/":
            (tmp_path / "own.csv").rmdir()
    (tmp_path / "own.csv").write_bytes(csv(good()))
    back = made.run("dvc", "repro")
    assert "epoch 1" not in back.stdout
    assert figures(made) == before
