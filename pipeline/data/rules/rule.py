"""A rule, its result, and which broken rules follow from others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Rule:
    """A rule.

    Parameters
    ----------
    name : str
        For reports, messages, `validate.warn_only` and `validate.stop_on`.
    table : str
        The field of `RuleTables` that it is about.
    expectation : str
        Class of Great Expectations.
    arguments : dict
        Arguments of that class.
    description : str
        What must be true, for people.
    parameter : str
        Key in `params.yaml` that changes the rule; "" for none.
    severity : str
        Whether a broken rule stops the pipeline or warns.
    consequences : tuple of str
        Rules that mean nothing if this one is broken: only the cause is reported.
    """

    name: str
    table: Literal["table", "rows", "shares", "classes", "reading"]
    expectation: str
    arguments: dict[str, Any]
    description: str
    parameter: str = ""
    severity: Literal["warn", "stop"] = "stop"
    consequences: tuple[str, ...] = ()

    @property
    def limit(self) -> str:
        """What is allowed at least and at most, for a table; "" if it is not a number.

        >>> Rule("min_rows", "table", "", {"min_value": 1000}, "there are 1,000 rows or more").limit
        '≥ 1,000'
        """
        low, high = (self.arguments.get(key) for key in ("min_value", "max_value"))
        if high == 0:
            return "none"
        form = percent if self.table == "shares" else number
        if low is not None and high is not None:
            return f"{form(low)} to {form(high)}"
        return f"≥ {form(low)}" if low is not None else f"≤ {form(high)}" if high is not None else ""


@dataclass(frozen=True)
class RuleResult:
    """The result of a rule.

    Parameters
    ----------
    rule : Rule
        The rule.
    passed : bool
        Whether the table satisfies it.
    observed : int, float or None
        The number that was compared with the limit; None if there is none.
    found : str
        The same in words: counts, row numbers and class names, but no text.
    remedy : str
        A line for section `ingest` of `params.yaml` that repairs the data; "" for none.
    cause : str
        Name of the broken rule that this one follows from; "" for none.
    """

    rule: Rule
    passed: bool
    observed: int | float | None
    found: str
    remedy: str = ""
    cause: str = ""

    @property
    def verdict(self) -> Literal["pass", "warn", "stop"]:
        """What follows from the result."""
        return "pass" if self.passed else self.rule.severity

    @property
    def sentence(self) -> str:
        """The result of a broken rule, for a message."""
        parameter = f" ({self.rule.parameter})" if self.rule.parameter else ""
        return f"{self.rule.name}: {self.rule.description}{parameter}, but found {self.found}"

    @property
    def message(self) -> str:
        """The sentence, and the line of `params.yaml` that repairs the data if there is one."""
        return self.sentence + (f"; set in params.yaml, section ingest:\n  {self.remedy}" if self.remedy else "")


def percent(share: float) -> str:
    """Return a share in percent, with three significant digits.

    >>> percent(0.12345)
    '12.3 %'
    """
    return f"{100 * share:.3g} %"


def number(value: float) -> str:
    """Return a number with thousands separators, and two decimals unless it is whole.

    >>> number(1000), number(2.5)
    ('1,000', '2.50')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def with_causes(results: Sequence[RuleResult]) -> list[RuleResult]:
    """Name for each broken rule the first broken one that it follows from; a warning is no cause of a stop.

    Examples
    --------
    >>> rows = RuleResult(Rule("rows", "table", "", {}, "", consequences=("classes",)), False, 3, "3")
    >>> classes = RuleResult(Rule("classes", "classes", "", {}, ""), False, 1, "1")
    >>> [result.cause for result in with_causes([rows, classes])]
    ['', 'rows']
    """
    broken = [result for result in results if not result.passed]
    causes = {
        result.rule.name: cause.rule.name
        for result in broken
        for cause in reversed(broken)
        if result.rule.name in cause.rule.consequences and (cause.verdict == "stop" or result.verdict == "warn")
    }
    return [replace(result, cause=causes.get(result.rule.name, result.cause)) for result in results]


def select(results: Sequence[RuleResult], verdict: str) -> list[RuleResult]:
    """Return the results with a verdict that follow from no other one: what a message reports."""
    return [result for result in results if result.verdict == verdict and not result.cause]
