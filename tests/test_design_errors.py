"""Mistakes of a new user: each gives one sentence with thing, cause and remedy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from hglm.design import build_design, check_levels
from hglm.errors import ColumnNotFoundError, DataError, FormulaError, HglmError, OptionError
from hglm.formula import parse_formula


def frame():
    n = 12
    return pd.DataFrame(
        {
            "y": np.arange(n) + 1.0,
            "days": np.arange(n) % 5 - 2.0,
            "count": np.arange(n) - 3,
            "infinite": [1.0, np.inf, *range(8), -np.inf, 3],
            "empty": np.full(n, np.nan),
            "gaps": [1.0, np.nan] * 6,
            "other gaps": [np.nan, 1.0] * 6,
            "text": list("abcabcabcabc"),
            "constant": ["k"] * n,
            "date": pd.date_range("2020-01-01", periods=n),
            "complex": 1j * np.arange(n),
            "mixed": ["a", (1,), 2.5] * 4,
            "a.b": np.arange(n),
            "g": list("pqrpqrpqrpqr"),
            "row": np.arange(n),
        }
    )


def duplicated():
    data = frame()
    return pd.concat([data, data[["days"]]], axis=1)


HALVES = np.full(12, 1.5)

# Formula, other arguments, error, a piece that names the thing, a piece of the remedy.
MISTAKES = {
    "unknown column": ("y ~ dyas", {}, ColumnNotFoundError, "`dyas`", "Did you mean `days`?"),
    "wrong case": ("y ~ Days", {}, ColumnNotFoundError, "`Days`", "Did you mean `days`?"),
    "unknown column in a call": ("y ~ log(dyas)", {}, ColumnNotFoundError, "`dyas`", "`days`"),
    "unknown group": ("y ~ (1 | h)", {}, ColumnNotFoundError, "`h`", "There are"),
    "unknown column, a Python name": ("y ~ (1 | id)", {}, ColumnNotFoundError, "`id`", "There are"),
    "unknown column, a function": ("y ~ scale", {}, ColumnNotFoundError, "`scale`", "There are"),
    "unknown response": ("z ~ days", {}, ColumnNotFoundError, "`z`", "There are"),
    "dotted name in a call": ("y ~ log(a.b)", {}, ColumnNotFoundError, "`a`", "backticks"),
    "unknown function": ("y ~ spline(days)", {}, FormulaError, "`spline`", "np.name"),
    "R's function": ("y ~ ns(days, 3)", {}, FormulaError, "`ns`", "`cr(x, df=4)`"),
    "constant response": ("1 ~ days", {}, DataError, "`1`", "write one before `~`"),
    "duplicate names": ("y ~ days", {"data": duplicated()}, DataError, "`days`", "rename"),
    "no rows": ("y ~ days", {"data": frame().iloc[:0]}, DataError, "no rows", "at least one"),
    "no frame": ("y ~ days", {"data": [1, 2]}, DataError, "list", "pandas.DataFrame"),
    "dictionary": ("y ~ days", {"data": {"y": [1]}}, DataError, "dict", "pandas.DataFrame"),
    "lazy frame": (
        "y ~ row",
        {"data": pl.LazyFrame({"y": [1], "row": [1]})},
        DataError,
        "LazyFrame",
        "collect it first",
    ),
    "all missing": ("y ~ empty", {}, DataError, "`empty`", "leave it out"),
    "no complete row": ("y ~ gaps + `other gaps`", {}, DataError, "`gaps` (6)", "fill values in"),
    "missing refused": ("y ~ gaps", {"missing": "raise"}, DataError, "rows 1, 3", 'missing="drop"'),
    "infinite": ("y ~ infinite", {}, DataError, "`infinite` is infinite in rows 1, 10", "mend"),
    "infinite response": ("infinite ~ days", {}, DataError, "`infinite`", "mend"),
    "log of negative": ("y ~ log(count)", {}, DataError, "`log(count)` is not a number", "rows"),
    "log of zero": ("y ~ log(row)", {}, DataError, "`log(row)` is infinite in row 0", "missing"),
    "log in the response": ("log(count) ~ days", {}, DataError, "`log(count)`", "missing"),
    "log in an offset": ("y ~ offset(log(count))", {}, DataError, "`log(count)`", "missing"),
    "log in a group": ("y ~ (1 | log(count))", {}, DataError, "`log(count)`", "mend"),
    "text response": ("text ~ days", {}, DataError, "`text`", "choose a family for categories"),
    "date": ("y ~ date", {}, DataError, "`date`", "convert it to a number"),
    "complex": ("y ~ complex", {}, DataError, "`complex`", "take their parts"),
    "unsortable": ("y ~ mixed", {}, DataError, "`mixed`", "all text or numbers"),
    "response of two columns": ("poly(y, 2) ~ days", {}, DataError, "(12, 2)", "one number"),
    "division by zero": ("I(y + 1 / 0) ~ days", {}, DataError, "`I(y + 1 / 0)`", "mend"),
    "one level": ("y ~ (1 | constant)", {}, DataError, "`constant`", "remove the term"),
    "wrong length": ("y ~ days", {"weights": [1, 2]}, DataError, "length 2", "each row"),
    "wrong shape": ("y ~ days", {"offset": np.ones((12, 2))}, DataError, "(12, 2)", "each row"),
    "negative weights": ("y ~ days", {"weights": "days"}, DataError, "`weights`", "positive"),
    "zero weights": ("y ~ days", {"weights": "row"}, DataError, "row 0", "positive"),
    "text as weights": ("y ~ days", {"weights": "text"}, DataError, "`text`", "convert"),
    "unknown weights": ("y ~ days", {"weights": "wt"}, ColumnNotFoundError, "`wt`", "There are"),
    "part frequencies": (
        "y ~ days",
        {"frequencies": np.full(12, 1.5)},
        DataError,
        "whole",
        "`weights`",
    ),
    "part trials": ("y ~ days", {"trials": np.full(12, 1.5)}, DataError, "whole", "whole numbers"),
    "trials twice": ("cbind(y, row) ~ days", {"trials": "y"}, DataError, "cbind", "leave out"),
    "negative counts": ("cbind(y, count) ~ days", {}, DataError, "`count` is negative", "counts"),
    "no trials": ("cbind(0 * y, 0 * y) ~ days", {}, DataError, "is zero", "leave rows out"),
    "unknown contrasts": (
        "y ~ text",
        {"contrasts": {"text": "smu"}},
        OptionError,
        "`smu`",
        "Did you mean `sum`?",
    ),
    "contrasts of nothing": ("y ~ text", {"contrasts": {"g": "sum"}}, DataError, "`g`", "`text`"),
    "contrasts of a number": (
        "y ~ days",
        {"contrasts": {"days": "sum"}},
        DataError,
        "`days`",
        "C(days, ...)",
    ),
    "contrasts of a wrong type": (
        "y ~ text",
        {"contrasts": {"text": 3}},
        OptionError,
        "type int",
        "matrix",
    ),
    "unknown base": ("y ~ C(text, Treatment('q'))", {}, DataError, "'q'", "levels"),
    "too few levels": (
        "y ~ C(text, levels=['a'])",
        {},
        DataError,
        "`levels`",
        "name them all",
    ),
    "unknown option": ("y ~ days", {"missing": "omit"}, OptionError, "omit", '"drop"'),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_remedy(mistake):
    formula, options, kind, thing, remedy = MISTAKES[mistake]
    data = options.get("data", frame())
    others = {name: value for name, value in options.items() if name != "data"}
    with pytest.raises(HglmError) as caught:
        build_design(parse_formula(formula), data, **others)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert thing in message
    assert remedy in message
    assert "\n" not in message
    assert message.endswith((".", "?"))


def test_errors_are_those_that_people_catch():
    with pytest.raises(KeyError):
        build_design(parse_formula("y ~ dyas"), frame())
    with pytest.raises(ValueError, match="no rows"):
        build_design(parse_formula("y ~ days"), frame().iloc[:0])


def test_rows_are_named_by_their_labels():
    data = frame().set_index(pd.Index([f"day{i}" for i in range(12)]))
    with pytest.raises(DataError, match="in rows day1, day10;"):
        build_design(parse_formula("y ~ infinite"), data)


def check(formula, **options):
    check_levels(build_design(parse_formula(formula), frame(), **options)[0])


@pytest.mark.parametrize(
    "random", ["(1 | row)", "(days | row)", "(days || row)", "(1 | g:row)", "diag(days | row)"]
)
def test_a_second_residual_is_refused(random):
    with pytest.raises(DataError, match="as many levels as there are rows"):
        check(f"y ~ 1 + {random}")


def test_what_differs_from_the_residual_is_allowed():
    """A variance that grows with days², or a residual of known unequal variances, can be told."""
    check("y ~ 1 + (0 + days | row)")
    check("y ~ 1 + (1 | row)", weights="y")
    check("y ~ 1 + (1 | g)")
    with pytest.raises(DataError, match="as many levels"):
        check("y ~ 1 + (1 | row)", weights=np.full(12, 3.0))
