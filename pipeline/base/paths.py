"""Paths of each stage's outputs, relative to the root; `dvc.yaml` lists the same files."""

from pathlib import Path

SPLITS = ("train", "validation", "test")

FORGOTTEN = Path("data/forgotten.txt")
INCREMENTS = Path("data/batches.csv")
INCREMENT_FILES = Path("data/batches")
QUARANTINE = Path("data/quarantine.csv")
QUARANTINE_FILES = Path("data/quarantine")
INGEST_TABLE = Path("data/ingest/table.parquet")
INGEST_SUMMARY = Path("data/ingest/summary.json")
INGEST_READING = Path("data/ingest/reading.json")
INGEST_COLUMNS = Path("data/ingest/columns.json")

VALIDATE_PASSED = Path("data/validate/passed.json")

CLEAN_TABLES = {split: Path(f"data/clean/{split}.parquet") for split in SPLITS}
CLEAN_CONFLICTING = Path("data/clean/conflicting.parquet")
CLEAN_CLASSES = Path("data/clean/classes.json")
CLEAN_COUNTS = Path("data/clean/counts.csv")
CLEAN_SUMMARY = Path("data/clean/summary.json")

TOKENIZE_PROCESSORS = Path("data/tokenize/processors")  # a file for each modality
TOKENIZE_TOKENIZER = TOKENIZE_PROCESSORS / "tokenizer.json"
TOKENIZE_ARRAYS = {split: Path(f"data/tokenize/{split}.npz") for split in SPLITS}

REBALANCE_TRAIN = Path("data/rebalance/train.npz")
REBALANCE_SUMMARY = Path("data/rebalance/summary.json")

TRAIN_MODEL = Path("data/train/model")
TRAIN_HISTORY = Path("data/train/history.csv")
TRAIN_SETTINGS = Path("data/train/settings.json")

EVALUATE_METRICS = Path("data/evaluate/metrics.json")
EVALUATE_INTERVALS = Path("data/evaluate/reports/intervals.json")
EVALUATE_PREDICTIONS = Path("data/evaluate/rows/predictions.csv")
EVALUATE_ROC = Path("data/evaluate/curves/roc.csv")
EVALUATE_PR = Path("data/evaluate/curves/pr.csv")
EVALUATE_RELIABILITY = Path("data/evaluate/curves/reliability.csv")
EVALUATE_BEHAVIOUR = Path("data/evaluate/reports/behaviour.json")
EVALUATE_WORDS = Path("data/evaluate/curves/words.csv")
EVALUATE_MISTAKES = Path("data/evaluate/rows/mistakes.csv")
EVALUATE_SLICES = Path("data/evaluate/rows/slices.parquet")
EVALUATE_MEASURED = Path("data/evaluate/reports/measured.json")
# What publish logs; measured.json holds their digests.
EVALUATE_PUBLISHED = (EVALUATE_METRICS, EVALUATE_INTERVALS, EVALUATE_BEHAVIOUR)

REPORTS = Path("reports")
