"""What a reader did beyond the plain reading of a file: counted, and shown in the validation report."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Reading:
    """How one file was read.

    Parameters
    ----------
    dialect : str
        How the cells of a CSV are delimited and quoted, such as "comma, quotes are characters"; "" for other formats.
    encoding : str
        As Python names it; "" for a format without one.
    letters : str
        The most frequent letters beyond ASCII, which show whether the encoding is right; no text.
    changed : dict of str to int
        Number of cells or characters changed, by what was changed, such as "backslash escapes".
    skipped : dict of str to list of int
        Numbers of the rows left out, from 1, by reason, such as "blank".
    max_broken : float
        Share of the rows that may be left out because they are broken.
    """

    dialect: str = ""
    encoding: str = ""
    letters: str = ""
    changed: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, list[int]] = field(default_factory=dict)
    max_broken: float = 0.0

    def change(self, what: str, count: int) -> None:
        """Count changes.

        >>> reading = Reading()
        >>> reading.change("backslash escapes", 2)
        >>> reading.change("backslash escapes", 1)
        >>> reading.changed
        {'backslash escapes': 3}
        """
        if count:
            self.changed[what] = self.changed.get(what, 0) + int(count)

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
            lines.append(f"encoding {self.encoding}" + (f", with the letters {self.letters}" if self.letters else ""))
        lines += [f"{count:,} {what}" for what, count in self.changed.items()]
        for reason, rows in self.skipped.items():
            first = ", ".join(f"{row:,}" for row in rows[:10]) + (", ..." if len(rows) > 10 else "")
            lines.append(f"{len(rows):,} {reason} row{'s' if len(rows) > 1 else ''} skipped: {first}")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return what was done; nothing that is empty."""
        return {key: value for key, value in asdict(self).items() if value and key != "max_broken"}
