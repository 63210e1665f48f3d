"""Forget: exclude rows from every later training, and list where they still are."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..base import checkout, command, paths, versioning
from ..base.errors import PipelineError
from ..base.files import read_table, sha256, write_text
from ..base.versioning import DVC_LOCK
from ..data import batches, tables
from ..data.forgotten import id_digest, matching, read_forgotten, text_digest
from ..registry import tracking
from ..registry.settings import model_name
from ..text.cleaning import clean_text

PURGE = """\
What still holds these rows, and how to purge it:
- your own source file: delete them there; this command does not touch it.
- data/ and the model in data/train: `dvc repro` makes them again without the rows; commit dvc.lock, {file},
  data/batches.csv and data/batches/.
- files in quarantine, which are kept as they came: data/quarantine/; `dvc remove` those that hold the rows.
- weights of a training that was stopped: remove .state/checkpoints.
- DVC's cache, with every earlier table and model: `dvc gc --workspace`; it removes the earlier versions of everything.
- DVC's remote, where `dvc push` sent them: `dvc gc --workspace --cloud`; other clones: `dvc gc --workspace`
  in each.
- git's history holds no table, unless you committed your file: then `git filter-repo --invert-paths --path FILE`,
  and push by force.
- registered models keep the weights, vocabulary and n-grams learnt from the rows: promote one trained without them,
  then delete the versions named above in MLflow, and `mlflow gc` to remove their files."""


def append(digests: Sequence[str]) -> int:
    """Add digests to `data/forgotten.txt`, sorted; give how many are new."""
    before = read_forgotten()
    write_text(paths.FORGOTTEN, "".join(f"{each}\n" for each in sorted(before | set(digests))))
    return len(set(digests) - before)


def tables_known() -> Iterator[Path]:
    """The clean tables of train and validation rows, of all states that git knows, as far as DVC's cache holds them."""
    from ruamel.yaml import YAML

    revisions = versioning.git("rev-list", "--all", "--", str(DVC_LOCK), check=False).split()
    locks = [versioning.git("show", f"{revision}:{DVC_LOCK}", check=False) for revision in revisions]
    locks += [DVC_LOCK.read_text(encoding="utf-8")] if DVC_LOCK.is_file() else []
    cache = Path(versioning.dvc("cache", "dir", capture=True).strip())
    wanted = {paths.CLEAN_TABLES[split].as_posix() for split in ("train", "validation")}
    digests = set()
    for content in filter(None, locks):
        outs = YAML(typ="safe").load(content)["stages"].get("clean", {}).get("outs", [])
        files = {path: digest for out in outs for path, digest in versioning.cached_files(out, cache).items()}
        digests |= {digest for path, digest in files.items() if path in wanted}
    tables = (versioning.cached(digest, cache) for digest in sorted(digests))
    yield from (table for table in tables if table.is_file())


def versions_seen(ids: set[str], texts: set[str]) -> tuple[list[str], list[str]]:
    """The registered versions that were trained on one of the rows, and those whose data DVC's cache no longer holds.

    Parameters
    ----------
    ids, texts : set of str
        Ids of rows, and cleaned texts.
    """
    seen_in = {}
    for place in tables_known():
        table = read_table(place)
        seen_in[sha256(place)] = bool((table["id"].isin(ids) | table["text"].isin(texts)).any())
    store = tracking.connect()
    seen, unknown = [], []
    with tracking.store_errors(store.address):
        for version, digests in store.versions.learned_from(model_name()):
            found = [seen_in.get(digest) for digest in digests] or [None]
            if any(found):
                seen.append(version)
            elif None in found:
                unknown.append(version)
    return seen, unknown


def purge_batches(digests: Sequence[str]) -> list[str]:
    """Write the batches that hold such rows anew without them, and tell DVC; give what was done, a line for each."""
    said = []
    for batch in batches.files():
        table = batches.read_rows(batch)
        rows = matching(tables.complete(table, source=""), digests)
        if not rows.any():
            continue
        place = batches.without(batch, table[~rows])
        old = paths.BATCH_FILES / f"{batch}.parquet"
        pointer = old.with_name(f"{old.name}.dvc")
        if place:
            versioning.dvc("add", "--quiet", str(place), capture=True)
        if pointer.is_file():
            versioning.dvc("remove", str(pointer), capture=True)
        old.unlink(missing_ok=True)
        said.append(
            f"batch {batch[:16]}: {int(rows.sum()):,} rows removed{f', now {place.stem[:16]}' if place else ''}"
        )
    return said


def forget(texts: list[str], ids: set[str]) -> None:
    """Drop rows by their raw texts and their ids, and print what was done and what still holds them."""
    digests = [id_digest(row) for row in ids] + [text_digest(text) for text in texts]
    if paths.INGEST_TABLE.is_file():
        table = read_table(paths.INGEST_TABLE)
        rows = matching(table, digests)
        ids = ids | set(table.loc[rows, "id"])
        texts = texts + table.loc[rows, "text"].dropna().to_list()
        print(f"{int(rows.sum()):,} rows of the current data match")
    else:
        print(f"{paths.INGEST_TABLE} is missing: how many rows match will be seen by `dvc repro`")
    print(f"{append(digests):,} digests added to {paths.FORGOTTEN}; `dvc repro` drops the rows")
    for line in purge_batches([*digests, *map(text_digest, texts)]):
        print(line)
    if tracking.enabled():
        seen, unknown = versions_seen(ids, {clean_text(text) for text in texts})
        print(f"versions of {model_name()} trained on them: {', '.join(seen) or 'none found'}")
        if unknown:
            print(f"not known, because DVC's cache lacks their data (`dvc fetch --all-commits`): {', '.join(unknown)}")
    print(PURGE.format(file=paths.FORGOTTEN))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("forget", __doc__, example="--id 0123456789abcdef --file texts.txt")
    parser.add_argument("--id", nargs="+", default=[], help="ids of rows, as in data/evaluate/rows/mistakes.csv")
    parser.add_argument("--text", nargs="+", default=[], help="texts; letter case and white space do not matter")
    parser.add_argument("--file", type=command.path, help="a text on each line")
    options = parser.parse_args(arguments)
    texts = list(options.text)
    if options.file:
        try:
            texts += [line for line in options.file.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise PipelineError(f"{options.file} cannot be read as UTF-8 text") from error
    if not texts and not options.id:
        raise PipelineError("name rows with --id, --text or --file")
    try:
        with checkout.alone_here():
            checkout.put_back()  # or the next retraining would put back what is written here too
            forget(texts, set(options.id))
    except checkout.BusyError as busy:
        raise PipelineError(f"{busy}; run this again when it has ended") from busy
