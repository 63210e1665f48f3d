"""Rules that decide whether to train now."""

from collections.abc import Sequence

from .settings import Retrain


def reasons_to_train(
    settings: Retrain,
    *,
    has_champion: bool,
    stale: Sequence[str],
    n_new_rows: int,
    drifted: Sequence[str],
    champion_age: float,
) -> list[str]:
    """Return the reasons to train now; none if there is nothing to do.

    Parameters
    ----------
    settings : Retrain
        The limits.
    has_champion : bool
        Whether there is a champion.
    stale : sequence of str
        Stages whose data, code or parameters were changed.
    n_new_rows : int
        Number of new rows.
    drifted : sequence of str
        Measures in which the new rows differ from the validation and test rows.
    champion_age : float
        Days since the champion was registered.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> limits = SimpleNamespace(min_new_rows=500, on_drift=True, max_age=None)
    >>> new = {"n_new_rows": 60, "drifted": ["length"]}
    >>> reasons_to_train(limits, has_champion=True, stale=[], champion_age=2.0, **new)
    ['drift of length in 60 new rows (retrain.on_drift)']
    """
    reasons = [] if has_champion else ["there is no champion yet"]
    if stale:
        reasons.append(f"data, code or parameters of {', '.join(stale)} have changed")
    if n_new_rows >= settings.min_new_rows:
        reasons.append(f"{n_new_rows:,} new rows (retrain.min_new_rows: {settings.min_new_rows:,})")
    if n_new_rows and drifted and settings.on_drift:
        measures = ", ".join(drifted).replace("_", " ")
        reasons.append(f"drift of {measures} in {n_new_rows:,} new rows (retrain.on_drift)")
    if n_new_rows and settings.max_age is not None and champion_age > settings.max_age:
        reasons.append(
            f"the champion is {champion_age:.0f} days old, and there are new rows (retrain.max_age: "
            f"{settings.max_age:g})"
        )
    return reasons
