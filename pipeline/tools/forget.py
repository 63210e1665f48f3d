"""Exclude rows from every later training, and list the copies of them that remain."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..base import checkout, command, paths, versioning
from ..base.errors import PipelineError
from ..base.files import read_table, sha256, write_text
from ..base.versioning import DVC_LOCK
from ..data import increments, tables
from ..data.forgotten import id_digest, mask_listed, read_forgotten, text_digests
from ..registry import tracking
from ..registry.settings import model_name
from ..text.cleaning import clean_text

PURGE = f"""\
Copies of these rows remain in the following places. To remove them:
- Your source file: delete the rows there; this command does not change it.
- data/, with the model in data/train/: run `dvc repro`, then commit {DVC_LOCK}, {paths.FORGOTTEN},
  {paths.EVALUATE_METRICS}, {paths.INCREMENTS} and {paths.INCREMENT_FILES}/.
- Quarantined files, which are stored unchanged: `dvc remove --outs {paths.QUARANTINE_FILES}/NAME.dvc` for each that
  holds the rows.
- Checkpoints of an interrupted training: `rm -r .state/checkpoints`.
- DVC's cache, with all earlier tables and models: `dvc gc --workspace`. It deletes the earlier versions of every file.
- DVC's remote, if you have run `dvc push`: `dvc gc --workspace --cloud`; and `dvc gc --workspace` in every other clone.
- git's history, if you committed your source file: `git filter-repo --invert-paths --path FILE`, then
  `git push --force`.
- Registered models, whose weights, vocabulary and n-grams were learned from the rows: promote a version trained without
  them (`python -m pipeline promote VERSION --why TEXT`). Then delete the versions named above in MLflow, with their
  logged models and runs, and run `mlflow gc --tracking-uri sqlite:///mlflow.db`, or the address of your server."""


def add_digests(digests: Sequence[str]) -> int:
    """Add digests to `data/forgotten.txt`, which stays sorted; return how many are new."""
    before = read_forgotten()
    write_text(paths.FORGOTTEN, "".join(f"{digest}\n" for digest in sorted(before | set(digests))))
    return len(set(digests) - before)


def remove_from_increments(digests: Sequence[str]) -> list[str]:
    """Replace the increments that hold listed rows by increments without them, also in DVC.

    Parameters
    ----------
    digests : sequence of str
        Digests of ids or texts.

    Returns
    -------
    list of str
        A line for each increment that was replaced.
    """
    lines = []
    for name in increments.names():
        table = increments.read_rows(name)
        mask = mask_listed(tables.complete(table, source=""), digests)
        if not mask.any():
            continue
        new = increments.replace(name, table[~mask])
        old = paths.INCREMENT_FILES / f"{name}.parquet"
        pointer = old.with_name(f"{old.name}.dvc")
        if new:  # first, so that a kill loses no row
            versioning.dvc("add", "--quiet", str(new), capture=True)
        if pointer.is_file():
            versioning.dvc("remove", str(pointer), capture=True)
        old.unlink(missing_ok=True)
        lines.append(f"increment {name[:16]}: {mask.sum():,} rows removed{f', now {new.stem[:16]}' if new else ''}")
    return lines


def cached_tables() -> Iterator[Path]:
    """Yield the clean training and validation tables of every `dvc.lock` in git's history that are in DVC's cache."""
    from ruamel.yaml import YAML

    revisions = versioning.git("rev-list", "--all", "--", str(DVC_LOCK), check=False).split()
    locks = [versioning.git("show", f"{revision}:{DVC_LOCK}", check=False) for revision in revisions]
    locks += [DVC_LOCK.read_text(encoding="utf-8")] if DVC_LOCK.is_file() else []
    cache = Path(versioning.dvc("cache", "dir", capture=True).strip())
    wanted = {paths.CLEAN_TABLES[split].as_posix() for split in ("train", "validation")}
    digests = set()
    for lock in filter(None, locks):
        for out in YAML(typ="safe").load(lock)["stages"].get("clean", {}).get("outs", []):
            files = versioning.cached_files(out, cache)
            digests |= {digest for path, digest in files.items() if path in wanted}
    files_in_cache = (versioning.cached(digest, cache) for digest in sorted(digests))
    yield from (file for file in files_in_cache if file.is_file())


def versions_trained_on(ids: set[str], texts: set[str]) -> tuple[list[str], list[str]]:
    """Find the registered versions that were trained on any of the rows.

    Parameters
    ----------
    ids, texts : set of str
        Ids of the rows, and their cleaned texts.

    Returns
    -------
    trained : list of str
        Versions whose training or validation table has one of the rows.
    unknown : list of str
        Versions with a table that is not in DVC's cache.
    """
    has_rows = {}
    for file in cached_tables():
        table = read_table(file)
        has_rows[sha256(file)] = bool((table["id"].isin(ids) | table["text"].isin(texts)).any())
    store = tracking.connect()
    trained, unknown = [], []
    with tracking.store_errors(store.address):
        for version, digests in store.versions.learned_from(model_name()):
            answers = [has_rows.get(digest) for digest in digests] or [None]
            if any(answers):
                trained.append(version)
            elif None in answers:
                unknown.append(version)
    return trained, unknown


def _all_digests(texts: Sequence[str]) -> list[str]:
    return [digest for text in texts for digest in text_digests(text)]


def forget_rows(texts: list[str], ids: set[str]) -> None:
    """Exclude rows by their raw texts and their ids; print what was done and which copies remain."""
    digests = [id_digest(row) for row in ids] + _all_digests(texts)
    if paths.INGEST_TABLE.is_file():
        table = read_table(paths.INGEST_TABLE)
        named = table[table["id"].isin(ids)]["text"].dropna().to_list()
        digests += _all_digests(named)  # otherwise a copy takes the place of the row
        rows = table[mask_listed(table, digests)]
        ids = ids | set(rows["id"])
        texts = texts + rows["text"].dropna().to_list()
        print(f"{len(rows):,} rows in the current data match")
    else:
        print(f"{paths.INGEST_TABLE} is missing; `dvc repro` will report how many rows match")
    print(f"{add_digests(digests):,} digests added to {paths.FORGOTTEN}; run `dvc repro` to drop the rows")
    for line in remove_from_increments([*digests, *_all_digests(texts)]):
        print(line)
    if tracking.enabled():
        trained, unknown = versions_trained_on(ids, {clean_text(text) for text in texts})
        print(f"versions of {model_name()} trained on them: {', '.join(trained) or 'none found'}")
        if unknown:
            print(
                f"versions whose data are not in DVC's cache: {', '.join(unknown)}; "
                "to check them, run `dvc fetch --all-commits` and this command again"
            )
    print(PURGE)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("forget", __doc__, example="--id 0123456789abcdef --file texts.txt")
    parser.add_argument(
        "--id", nargs="+", default=[], help=f"ids of rows, as in the column id of {paths.EVALUATE_MISTAKES}"
    )
    parser.add_argument(
        "--text", nargs="+", default=[], help="texts; copies that are equal once cleaned are forgotten, too"
    )
    parser.add_argument("--file", type=command.path, help="a UTF-8 file with one text per line")
    options = parser.parse_args(arguments)
    texts = list(options.text)
    if options.file:
        try:
            texts += [line for line in options.file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise PipelineError(f"cannot read {options.file} as UTF-8 text") from error
    if not texts and not options.id:
        raise PipelineError("no rows given; name them with --id, --text or --file")
    try:
        with checkout.checkout_lock():
            checkout.restore()  # otherwise the next retraining would undo what this command writes
            forget_rows(texts, set(options.id))
    except checkout.AlreadyRunningError as busy:
        raise PipelineError(f"{busy}; run this again when it has ended") from busy
