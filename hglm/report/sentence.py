"""One effect in a sentence, as the results section of a paper would have it.

Numbers follow the Publication Manual of the American Psychological Association (7th
ed., 2020, sections 6.36-6.45): no zero before the point of a probability, degrees of
freedom in brackets, limits in square brackets. An effect is called significant where its
p-value is below one less the level of the interval; otherwise nothing is said beyond the
numbers, since a large p-value is not evidence of no effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd

from hglm.errors import OptionError
from hglm.families import Family
from hglm.inference.emmeans.scales import scale_of
from hglm.report.formats import DegreesOfFreedom, Estimate, Fixed

__all__ = ["coefficient_sentence", "effect_sentence", "ratio_name", "term_sentence"]

LEVEL = re.compile(r"\[(?:[A-Za-z]+\.)?(.+?)\](?=:|$)")
"""The level in the name of a coefficient: `period[T.p2]`."""
BETWEEN = re.compile(r":(?![^\[]*\])")
"""The colon between the factors of an interaction, not one within a level."""

LIMITS = ("estimate", "conf_low", "conf_high")

RATIOS: Mapping[str, str] = {"counts": "rate ratio", "proportion": "risk ratio"}
"""Support of the response -> what a ratio of its means is called."""


def effect_sentence(
    effect: str,
    coefficients: pd.DataFrame,
    anova: Callable[[], pd.DataFrame],
    *,
    level: float,
    joint: bool,
    family: Family,
    response: str,
) -> str:
    """Describe a coefficient or, if there is none of that name, a term.

    Parameters
    ----------
    effect
        Name of a coefficient, or of a term of the analysis of variance.
    coefficients : (p, ...)
        `term, estimate, std_error, df, statistic, p_value, conf_low, conf_high`.
    anova
        Makes the tests of the terms.
    level
        Coverage of the intervals in `coefficients`.
    joint
        Whether the test of the term is wanted though a coefficient has its name.
    family, response
        Tell what the exponential of a coefficient means, if anything.
    """
    rows = coefficients[coefficients["term"] == effect]
    if len(rows) and not joint:
        return coefficient_sentence(rows, level, *ratio_name(family, response))
    tests = anova()
    if effect not in tests.index:
        known = list(dict.fromkeys([*coefficients["term"], *tests.index]))
        near = get_close_matches(effect, known, n=2)
        raise OptionError(
            f"There is no effect {effect!r}; "
            + (f"did you mean {' or '.join(map(repr, near))}?" if near else f"there is {known}.")
        )
    return term_sentence(tests.loc[[effect]], level)


def coefficient_sentence(
    row: pd.DataFrame, level: float, ratio: str = "", factor: float = 1.0
) -> str:
    """Describe one fixed effect: estimate, standard error, test, interval.

    Parameters
    ----------
    row : (1, ...)
        Of a table of coefficients.
    level
        Coverage of its interval.
    ratio, factor
        What exp(factor × coefficient) is called; the interval is then that of the ratio.

    Examples
    --------
    >>> row = pd.DataFrame(
    ...     {
    ...         "term": ["days"],
    ...         "estimate": [10.467],
    ...         "std_error": [1.546],
    ...         "df": [17.0],
    ...         "statistic": [6.771],
    ...         "p_value": [3.3e-6],
    ...         "conf_low": [7.206],
    ...         "conf_high": [13.729],
    ...     }
    ... )
    >>> coefficient_sentence(row, 0.95)
    'The effect of days was significant, b = 10.47, SE = 1.55, t(17) = 6.77, p < .001, 95% CI [7.21, 13.73].'
    """  # noqa: E501
    own = row.iloc[0]
    error = float(own["std_error"])
    b, low, high, se = _written([*(own[name] for name in LIMITS), error], error, 3)
    numbers = [f"b = {b}"]
    if np.isfinite(error):
        numbers.append(f"SE = {se}")
    if np.isfinite(own["statistic"]):
        numbers.append(f"{_statistic(own)} = {own['statistic']:.2f}")
        numbers.append(_probability(own["p_value"]))
    if ratio:
        limits = np.exp([factor * own[name] for name in LIMITS]).tolist()
        shown, low, high = _written(limits, factor * error * limits[0], 2)
        numbers.append(f"{ratio} = {shown}")
    if np.isfinite(own["conf_low"]):
        numbers.append(f"{100.0 * level:g}% CI [{low}, {high}]")
    thing = _thing(str(own["term"]))
    if own["p_value"] < 1.0 - level and own["term"] != "Intercept":
        return f"The {thing} was significant, {', '.join(numbers)}."
    return f"The {thing} was estimated at {', '.join(numbers)}."


def term_sentence(row: pd.DataFrame, level: float = 0.95) -> str:
    """Describe the test of a term: F with two degrees of freedom, or chi-square with one.

    Parameters
    ----------
    row : (1, ...)
        Of an analysis of variance, the name of the term as its index.
    level
        One less the probability below which an effect is called significant.
    """
    own = row.iloc[0]
    (statistic,) = Fixed(2).cells(pd.Series([own["statistic"]]), row)
    if "den_df" in row:
        dfs = [_degrees(own["num_df"]), _degrees(own["den_df"])]
        test = f"F({', '.join(dfs)}) = {statistic}"
    else:
        test = f"χ²({_degrees(own['df'])}) = {statistic}"
    numbers = f"{test}, {_probability(own['p_value'])}"
    term = str(row.index[0])
    if own["p_value"] < 1.0 - level:
        return f"The {_thing(term)} was significant, {numbers}."
    thing = _thing(term)
    tested = thing.removeprefix("effect of ") if thing.startswith("effect") else f"the {thing}"
    return f"The test of {tested} gave {numbers}."


def ratio_name(family: Family, response: str = "") -> tuple[str, float]:
    """Say what the exponential of a coefficient is, and of which multiple of it.

    Examples
    --------
    >>> from hglm.families import resolve_family
    >>> ratio_name(resolve_family("poisson")), ratio_name(resolve_family("gaussian"))
    (('rate ratio', 1.0), ('', 1.0))
    """
    scale = scale_of(family, response)
    name = scale.ratio.lower()
    if name == "ratio" and family.parameters[0].link.name != "identity":
        name = RATIOS.get(family.support, "ratio of means")
    return name, scale.factor


def _thing(term: str) -> str:
    if term == "Intercept":
        return "intercept"
    parts = [LEVEL.sub(r" (\1)", part) for part in BETWEEN.split(term)]
    if len(parts) == 1:
        return f"effect of {parts[0]}"
    return f"interaction of {', '.join(parts[:-1])} and {parts[-1]}"


def _statistic(row: pd.Series) -> str:
    return f"t({_degrees(row['df'])})" if np.isfinite(row["df"]) else "z"


def _degrees(df: float) -> str:
    (cell,) = DegreesOfFreedom().cells(pd.Series([df]), pd.DataFrame())
    return cell


def _probability(p: float) -> str:
    return "p < .001" if p < 0.001 else "p = " + f"{p:.3f}".removeprefix("0")


def _written(values: Sequence[float], std_error: float, digits: int) -> list[str]:
    """Write estimates as finely as their standard error deserves."""
    frame = pd.DataFrame({"value": values, "std_error": std_error}, dtype=np.float64)
    return Estimate(digits=digits).cells(frame["value"], frame)
