"""Names of a table's columns: rows of a later table must have the same ones, in the same order."""

from __future__ import annotations

import warnings
from typing import Any

from maskcl.errors import DataError, check

__all__ = ["check_columns", "column_names"]


def column_names(inputs: Any) -> list[str] | None:
    """Return the names of a table's columns; None for what is no table, or has numbers for names."""
    columns = getattr(inputs, "columns", None)
    if columns is None or not (hasattr(inputs, "iloc") or hasattr(inputs, "__dataframe__")):
        return None
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None


def check_columns(names: list[str] | None, before: list[str] | None, where: str) -> None:
    """Refuse a table with other columns than the first fit's; where one side has no names, warn as scikit-learn does.

    Args:
        names: The columns' names now; None: there are none.
        before: Those of the first fit.
        where: The call, for messages.

    Raises:
        DataError: Names that differ, or come in another order.
    """
    if names == before:
        return
    if names is None or before is None:
        has, had = ("has", "without") if before is None else ("does not have valid", "with")
        text = f"X {has} feature names, but Learner was fitted {had} feature names"
        warnings.warn(text, UserWarning, stacklevel=4)
        return
    must = "The feature names should match those that were passed during fit"
    odd = next((name for name in [*names, *before] if (name in names) != (name in before)), None)
    if odd is not None:
        what = "is new" if odd in names else "is missing"
        check(False, f"{where}: inputs", f"{must}, and column {odd!r} {what}", error=DataError)
    check(False, f"{where}: inputs", f"{must}, in the same order, {before}", names, error=DataError,
          hint="inputs[learner.feature_names_in_]")  # fmt: skip
