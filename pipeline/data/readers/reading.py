"""What a reader did beyond the plain reading of a file: counted, and shown in the validation report."""

from dataclasses import asdict, dataclass, field
from typing import Any

ALL_FILES = "all files"  # instead of a file's name, for what was done to all


@dataclass
class Reading:
    """How one file was read.

    Parameters
    ----------
    dialect : str
        How the cells of a CSV are delimited and quoted, such as "comma, quotes are characters"; "" for other formats.
    encoding : str
        As Python names it; "" for a format without one.
    guessed : bool
        Whether the encoding was detected by the letters that it yields.
    letters : str
        The most frequent letters beyond ASCII, which show whether the encoding is right; no text.
    changed : dict of str to int
        Number of rows or cells that were not read plainly, by what was done, such as "backslash escapes".
    folded : dict of str to int
        Number of labels that got another spelling, by what was done.
    missing : dict of str to int
        Number of labels read as missing, by marker, such as "NA".
    dropped : int
        Number of texts with characters that nobody sees, which clean drops.
    skipped : dict of str to list of int
        Numbers of the rows left out, from 1, by reason, such as "blank".
    max_broken : float
        Share of the rows that may be left out because they are broken.
    """

    dialect: str = ""
    encoding: str = ""
    guessed: bool = False
    letters: str = ""
    changed: dict[str, int] = field(default_factory=dict)
    folded: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    skipped: dict[str, list[int]] = field(default_factory=dict)
    max_broken: float = 0.0

    @property
    def is_legacy(self) -> bool:
        """Whether the encoding is none of Unicode, so that only the letters show whether it is right."""
        return bool(self.encoding) and not self.encoding.lower().startswith("utf")

    def change(self, what: str, count: int) -> None:
        """Count rows or cells that were not read plainly.

        >>> reading = Reading()
        >>> reading.change("backslash escapes", 2)
        >>> reading.change("backslash escapes", 1)
        >>> reading.changed
        {'backslash escapes': 3}
        """
        _add(self.changed, what, count)

    def fold(self, what: str, count: int) -> None:
        """Count labels that got another spelling."""
        _add(self.folded, what, count)

    def miss(self, marker: str, count: int) -> None:
        """Count labels read as missing."""
        _add(self.missing, marker, count)

    def skip(self, reason: str, rows: list[int]) -> None:
        """Note rows that are left out."""
        if rows:
            self.skipped[reason] = sorted({*self.skipped.get(reason, ()), *rows})

    def lines(self) -> list[str]:
        """Return what was done in words, for the validation report.

        >>> Reading("comma; cells may be quoted", "cp1252", skipped={"blank": [3, 8]}).lines()
        ['comma; cells may be quoted', 'encoding cp1252', '2 blank rows skipped: 3, 8']
        """
        lines = [self.dialect] if self.dialect else []
        if self.encoding:
            letters = f", with the letters {self.letters}" if self.letters else ""
            lines.append(f"encoding {self.encoding}{', detected' if self.guessed else ''}{letters}")
        lines += [f"{count:,} {what}" for what, count in (self.changed | self.folded).items()]
        lines += [f"{count:,} labels {marker} read as missing" for marker, count in self.missing.items()]
        lines += [f"{self.dropped:,} texts with characters that nobody sees, which clean drops"] if self.dropped else []
        for reason, rows in self.skipped.items():
            first = ", ".join(f"{row:,}" for row in rows[:10]) + (", ..." if len(rows) > 10 else "")
            lines.append(f"{len(rows):,} {reason} row{'s' if len(rows) > 1 else ''} skipped: {first}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return what was done; nothing that is empty."""
        return {key: value for key, value in asdict(self).items() if value and key != "max_broken"}


def _add(counts: dict[str, int], key: str, count: int) -> None:
    if count:
        counts[key] = counts.get(key, 0) + int(count)
