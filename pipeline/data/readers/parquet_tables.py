"""Parquet: cells have types, and the file its metadata."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ...base.errors import PipelineError
from .compression import UNPACK, unpack_into
from .headers import ColumnKey, check_added, check_columns, check_stream_columns
from .reading import Reading
from .sources import Source
from .streams import Added

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow


def parse(
    content: bytes,
    path: Path,
    columns: Sequence[ColumnKey],
    optional: Sequence[ColumnKey],
    delimiter: str | None,
    reading: Reading,
) -> "pd.DataFrame":
    """Return columns of a Parquet file; parameters, result and errors are those of `formats.read`."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        present = [*columns, *(column for column in optional if column in names)]
        check_columns(names, present, path)
        table = file.read(columns=list(dict.fromkeys(present)))
    except (pa.ArrowException, OSError) as error:
        raise PipelineError(_unreadable(path, error)) from error
    if table.num_rows == 0:
        raise PipelineError(f"{path} has columns but no rows")
    # Of nested columns, only the leaf names would match: what is not flat shows as what it is, and is refused later.
    try:
        index = range(1, table.num_rows + 1)
        return pd.DataFrame({column: pd.Series(table[column].to_pylist(), index, dtype=object) for column in present})
    except (UnicodeDecodeError, OverflowError, ValueError) as error:
        raise PipelineError(_invalid_cells(path, error)) from error


def _unreadable(file: Path | str, error: Exception) -> str:
    return f"{file} is not a readable Parquet file: {' '.join(str(error).split())}"


def _invalid_cells(file: Path | str, error: Exception) -> str:
    """Say that a file has strings that are not UTF-8, or times out of range."""
    return f"{file} holds cells that cannot be read ({type(error).__name__}); write the file again"


class ParquetStream:
    """A Parquet file, a record batch at a time. Parameters are those of `CsvStream`."""

    def __init__(
        self, source: Source, columns: Mapping[str, ColumnKey], *, encoding: str | None, delimiter: str | None
    ) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError as error:
            raise PipelineError(f"{source.name}: Parquet needs the package pyarrow; install it") from error
        if not source.rereadable:
            raise PipelineError(f"cannot read Parquet from {source.name}; name a file")
        self.name, self.columns = source.name, columns
        try:
            self.file = parquet.ParquetFile(_seekable(source))
        except (pa.ArrowException, OSError) as error:
            raise PipelineError(_unreadable(source.name, error)) from error
        self.schema = self.file.schema_arrow
        check_stream_columns(self.schema.names, columns, source.name)

    def chunks(self, size: int) -> Iterator[tuple["pyarrow.RecordBatch", dict[str, list[Any]]]]:
        import pyarrow as pa

        try:
            for batch in self.file.iter_batches(size):
                yield batch, {kind: batch.column(column).to_pylist() for kind, column in self.columns.items()}
        except (pa.ArrowException, OSError) as error:
            raise PipelineError(_unreadable(self.name, error)) from error
        except (UnicodeDecodeError, OverflowError) as error:
            raise PipelineError(_invalid_cells(self.name, error)) from error

    def start(self, target: BinaryIO, added: Mapping[str, type]) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        check_added(self.schema.names, list(added), self.name)
        types = {str: pa.string(), float: pa.float64(), int: pa.int64()}
        self.fields = [pa.field(column, types[kind]) for column, kind in added.items()]
        self.whole = pa.schema([*self.schema, *self.fields], metadata=self.schema.metadata)
        self.writer = parquet.ParquetWriter(target, self.whole, compression="zstd")

    def write(self, chunk: "pyarrow.RecordBatch", added: Added) -> None:
        import pyarrow as pa

        new = [pa.array(added[field.name], field.type) for field in self.fields]
        self.writer.write_batch(pa.record_batch([*chunk.columns, *new], schema=self.whole))

    def finish(self) -> None:
        self.writer.close()

    def abandon(self) -> None:
        self.writer.is_open = False  # otherwise it would end the file when it is freed


def _seekable(source: Source) -> BinaryIO:
    """Open a file whose end is read first: a compressed one is unpacked to a temporary file."""
    if source.path is None or source.path.suffix.lower() not in UNPACK:
        return source.open()
    file = cast(BinaryIO, TemporaryFile())  # noqa: SIM115
    unpack_into(file, source.path)
    file.seek(0)
    return file
