"""Typical mistakes of a new user: one clear sentence each, with thing, cause and remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.errors import (
    ColumnNotFoundError,
    DataError,
    FitError,
    FormulaError,
    HglmError,
    OptionError,
)

N = 60


def frame() -> pd.DataFrame:
    """Twelve schools of five pupils, and columns with every fault."""
    rng = np.random.default_rng(0)
    school = np.repeat(np.arange(12), 5)
    x, u = rng.normal(size=(2, N))
    score = rng.normal(size=12)[school] + x + rng.normal(size=N)
    return pd.DataFrame(
        {
            "score": score,
            "hours": x,
            "noise": u,
            "school": school,
            "pupil": np.arange(N),
            "country": "FR",
            "sex": np.where(rng.random(N) < 0.5, "girl", "boy"),
            "constant": 3.0,
            "school_mean": score.reshape(12, 5).mean(axis=1)[school],
            "double": 2 * x + 1,
            "infinite": np.where(np.arange(N) == 3, np.inf, x),
            "empty": np.nan,
            "negative": np.where(np.arange(N) == 7, -1.0, 1.0),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(N), "D"),
        }
    )


def fitted() -> hglm.Fit:
    return hglm.fit("score ~ hours + sex + (hours | school)", frame())


def fit(formula: str, data: Any = None, **options: Any) -> Callable[[], object]:
    return lambda: hglm.fit(formula, frame() if data is None else data, **options)


def on_fit(action: Callable[[hglm.Fit], object]) -> Callable[[], object]:
    return lambda: action(fitted())


@dataclass(frozen=True)
class Mistake:
    """What was done, what is raised and what the sentence must say."""

    action: Callable[[], object]
    error: type[HglmError]
    words: tuple[str, ...]
    """The thing, the cause, the remedy."""


GOOD = "score ~ hours + (1 | school)"
MISTAKES: dict[str, Mistake] = {
    # Columns -----------------------------------------------------------------------
    "misspelt predictor": Mistake(
        fit("score ~ huors + (1 | school)"),
        ColumnNotFoundError,
        ("`huors`", "no column", "mean `hours`"),
    ),
    "unknown column": Mistake(
        fit("score ~ zebra + (1 | school)"),
        ColumnNotFoundError,
        ("`zebra`", "no column", "`hours`"),
    ),
    "wrong case in the group": Mistake(
        fit("score ~ hours + (1 | School)"),
        ColumnNotFoundError,
        ("`School`", "no column", "mean `school`"),
    ),
    "misspelt response": Mistake(
        fit("scores ~ hours + (1 | school)"),
        ColumnNotFoundError,
        ("`scores`", "no column", "mean `score`"),
    ),
    "two columns of one name": Mistake(
        fit(GOOD, data=pd.concat([frame(), frame()[["hours"]]], axis=1)),
        DataError,
        ("`hours`", "2 columns", "rename"),
    ),
    # Formula -----------------------------------------------------------------------
    "bracket left open": Mistake(
        fit("score ~ hours + (1 | school"), FormulaError, ("bracket `(`", "never closed", "add `)`")
    ),
    "bar without brackets": Mistake(
        fit("score ~ hours + 1 | school"), FormulaError, ("bar", "brackets", "`(1 | school)`")
    ),
    "no tilde": Mistake(
        fit("score + hours"), FormulaError, ("`~`", "no `~`", "`response ~ predictors`")
    ),
    "no response": Mistake(
        fit("~ hours + (1 | school)"), FormulaError, ("response", "before `~`", "write")
    ),
    "nothing before the bar": Mistake(
        fit("score ~ hours + (| school)"), FormulaError, ("column", "before the bar", "(1 |")
    ),
    "no group after the bar": Mistake(
        fit("score ~ hours + (1 |)"), FormulaError, ("grouping factor", "after the bar", "(1 |")
    ),
    "two bars in a term": Mistake(
        fit("score ~ hours + (1 | school | sex)"), FormulaError, ("bar", "one bar", "separate term")
    ),
    "a random term subtracted": Mistake(
        fit("score ~ hours - (1 | school)"), FormulaError, ("random", "subtracted", "`+`")
    ),
    "dot for all columns": Mistake(
        fit("score ~ . + (1 | school)"), FormulaError, ("`.`", "not supported", "name the columns")
    ),
    "unknown structure": Mistake(
        fit("score ~ hours + unstr(hours | school)"),
        FormulaError,
        ("`unstr`", "not a covariance structure", "`us`"),
    ),
    "unknown function": Mistake(
        fit("score ~ standardise(hours) + (1 | school)"),
        FormulaError,
        ("`standardise`", "no function", "np."),
    ),
    "arguments the wrong way round": Mistake(
        lambda: hglm.fit(frame(), GOOD),  # type: ignore[arg-type]
        FormulaError,
        ("formula", "a string", "y ~ x"),
    ),
    # Data --------------------------------------------------------------------------
    "not a data frame": Mistake(
        fit(GOOD, data=frame().to_numpy()), DataError, ("ndarray", "data frame", "pandas.DataFrame")
    ),
    "no rows": Mistake(fit(GOOD, data=frame().iloc[:0]), DataError, ("data", "no rows", "give")),
    "one level": Mistake(
        fit("score ~ hours + (1 | country)"),
        DataError,
        ("`country`", "only one level", "remove the term"),
    ),
    "as many levels as rows": Mistake(
        fit("score ~ hours + (1 | pupil)"),
        DataError,
        ("`pupil`", "as many levels as there are rows", "leave the term out"),
    ),
    "all values missing": Mistake(
        fit("score ~ empty + (1 | school)"), DataError, ("`empty`", "missing", "leave it out")
    ),
    "an infinite value": Mistake(
        fit("score ~ infinite + (1 | school)"), DataError, ("`infinite`", "row 3", "mend")
    ),
    "a response of words": Mistake(
        fit("sex ~ hours + (1 | school)"), DataError, ("`sex`", "text", "convert it")
    ),
    "a date as predictor": Mistake(
        fit("score ~ day + (1 | school)"), DataError, ("`day`", "dates", "convert it")
    ),
    "a constant response": Mistake(
        fit("constant ~ hours + (1 | school)"),
        DataError,
        ("`constant`", "reproduce", "check that it is not constant"),
    ),
    "the response among the predictors": Mistake(
        fit("double ~ hours + (1 | school)"),
        DataError,
        ("`double`", "reproduce", "computed from the predictors"),
    ),
    "a response that the groups determine": Mistake(
        fit("school_mean ~ 1 + (1 | school)"),
        FitError,
        ("`school_mean`", "reproduce", "leave out"),
    ),
    "a factor in both parts": Mistake(
        fit("score ~ C(school) + (1 | school)"),
        DataError,
        ("`school`", "cannot be told from the fixed effects", "leave"),
    ),
    "fewer rows than coefficients": Mistake(
        fit("score ~ hours * noise + (1 | school)", data=frame().iloc[[0, 1, 5, 6]]),
        DataError,
        ("observations (4)", "fixed effects (4)", "more rows or fewer predictors"),
    ),
    # Arguments ---------------------------------------------------------------------
    "unknown method": Mistake(fit(GOOD, method="rml"), OptionError, ("'rml'", "method", "'reml'")),
    "a number for a method": Mistake(fit(GOOD, method=3), OptionError, ("3", "no method", "name")),
    "unknown family": Mistake(
        fit(GOOD, family="gausian"), OptionError, ("'gausian'", "family", "'gaussian'")
    ),
    "unknown link": Mistake(fit(GOOD, link="lgo"), OptionError, ("'lgo'", "link", "'log'")),
    "weights of another length": Mistake(
        fit(GOOD, weights=np.ones(3)), DataError, ("`weights`", "length 3", "60 rows", "each row")
    ),
    "a negative weight": Mistake(
        fit(GOOD, weights="negative"), DataError, ("`weights`", "row", "7", "positive")
    ),
    "fractions for frequencies": Mistake(
        fit(GOOD, frequencies=np.full(N, 0.5)),
        DataError,
        ("`frequencies`", "whole number", "`weights`"),
    ),
    "misspelt weights": Mistake(
        fit(GOOD, weights="negativ"), ColumnNotFoundError, ("`negativ`", "no column", "`negative`")
    ),
    "an offset of another length": Mistake(
        fit(GOOD, offset=np.zeros(2)), DataError, ("`offset`", "length 2", "each row")
    ),
    "start values of the wrong number": Mistake(
        fit(GOOD, start=np.ones(3)),
        OptionError,
        ("`start`", "covariance parameters (1)", "give one"),
    ),
    "unknown contrasts": Mistake(
        fit("score ~ sex + (1 | school)", contrasts={"sex": "summ"}),
        OptionError,
        ("`summ`", "contrasts", "`sum`"),
    ),
    "contrasts for a column not in the model": Mistake(
        fit(GOOD, contrasts={"colour": "sum"}),
        DataError,
        ("`colour`", "does not use", "`hours`"),
    ),
    # Afterwards --------------------------------------------------------------------
    "new levels at prediction": Mistake(
        on_fit(lambda f: f.predict(frame().assign(school=99))),
        DataError,
        ("`school`", "new levels", "`99`", 'new_levels="population"'),
    ),
    "a column missing at prediction": Mistake(
        on_fit(lambda f: f.predict(frame()[["hours", "school"]])),
        ColumnNotFoundError,
        ("`sex`", "no column", "new data"),
    ),
    "a category that the fit never saw": Mistake(
        on_fit(lambda f: f.predict(frame().assign(sex="other"))),
        DataError,
        ("`sex`", "`other`", "`boy` and `girl`"),
    ),
    "a group that is not in the model": Mistake(
        on_fit(lambda f: f.predict(random="class")),
        OptionError,
        ("`class`", "not a grouping factor", "`school`"),
    ),
    "unknown interval": Mistake(
        on_fit(lambda f: f.predict(interval="credible")),  # type: ignore[arg-type]
        OptionError,
        ("interval", "'credible'", '"prediction"'),
    ),
    "a level in per cent": Mistake(
        on_fit(lambda f: f.conf_int(level=95)), OptionError, ("level", "95", "between 0 and 1")
    ),
    "unknown type of tests": Mistake(
        on_fit(lambda f: f.anova(type=4)),  # type: ignore[arg-type]
        OptionError,
        ("type", "4", "1, 2, 3"),
    ),
    "unknown degrees of freedom": Mistake(
        on_fit(lambda f: f.anova(ddf="kr")), OptionError, ("ddf", "'kr'", '"kenward-roger"')
    ),
    "Kenward-Roger after maximum likelihood": Mistake(
        lambda: hglm.fit(GOOD, frame(), method="ml").anova(ddf="kenward-roger"),
        OptionError,
        ("Kenward", "maximum likelihood", 'method="reml"'),
    ),
    "unknown residuals": Mistake(
        on_fit(lambda f: f.residuals("peerson")), OptionError, ("'peerson'", "residuals", "pearson")
    ),
    "a contrast of the wrong width": Mistake(
        on_fit(lambda f: f.test(np.array([[1.0, 0.0]]))),
        OptionError,
        ("contrast", "(1, 2)", "each of the 3 fixed effects"),
    ),
    "one model to compare": Mistake(
        on_fit(hglm.compare), OptionError, ("compare", "nothing", "two models")
    ),
    "models of different rows": Mistake(
        on_fit(lambda f: hglm.compare(f, hglm.fit(GOOD, frame().iloc[:50]))),
        DataError,
        ("fitted to", "60 and 50 rows", "leave"),
    ),
    "unknown data set": Mistake(
        lambda: hglm.load_dataset("sleepstudi"),
        OptionError,
        ("'sleepstudi'", "no data set", "'sleepstudy'"),
    ),
}


def test_there_are_mistakes_enough() -> None:
    assert len(MISTAKES) >= 25


@pytest.fixture(params=MISTAKES)
def mistake(request: pytest.FixtureRequest) -> Mistake:
    return MISTAKES[request.param]


@pytest.fixture
def raised(mistake: Mistake) -> HglmError:
    with pytest.raises(HglmError) as caught:
        mistake.action()
    return caught.value


def sentence(error: HglmError) -> str:
    """Message without the formula and the carets below it."""
    return str(error).split("\n")[0]


def test_the_exception_is_of_the_expected_type(mistake: Mistake, raised: HglmError) -> None:
    assert type(raised) is mistake.error
    expected = ArithmeticError if mistake.error is FitError else ValueError
    assert isinstance(raised, expected)
    assert isinstance(raised, KeyError) == (mistake.error is ColumnNotFoundError)


def test_the_sentence_names_thing_cause_and_remedy(mistake: Mistake, raised: HglmError) -> None:
    for word in mistake.words:
        assert word.lower() in sentence(raised).lower()


def test_the_message_is_a_sentence_of_reasonable_length(raised: HglmError) -> None:
    text = sentence(raised)
    assert text[0].isupper() or text[0] in "`'\"" or text[0].isdigit() or text.startswith("score")
    assert text[-1] in ".?"
    assert 30 <= len(text) <= 320
    assert len(text.split()) >= 6
    for leak in ("Traceback", "array(", "dtype", "np.", "object at 0x"):
        assert leak not in text.replace("`np.name`", "")


def test_slips_in_a_formula_are_underlined(mistake: Mistake, raised: HglmError) -> None:
    """A caret under the place, wherever the formula was at hand."""
    lines = str(raised).split("\n")
    if type(raised) is FormulaError and len(lines) > 1:
        _, formula, carets = lines
        assert set(carets.strip()) == {"^"}
        assert len(carets) <= len(formula) + 1


def test_most_slips_in_a_formula_have_a_caret() -> None:
    slips = [m for m in MISTAKES.values() if m.error is FormulaError]
    texts = []
    for slip in slips:
        with pytest.raises(FormulaError) as caught:
            slip.action()
        texts.append(str(caught.value))
    assert sum("^" in text for text in texts) >= len(texts) - 2


def test_a_mistake_leaves_the_data_as_they_were() -> None:
    data = frame()
    before = data.copy(deep=True)
    for formula in ("score ~ huors + (1 | school)", "score ~ infinite + (1 | school)"):
        with pytest.raises(HglmError):
            hglm.fit(formula, data)
    pd.testing.assert_frame_equal(data, before)


def test_no_mistake_is_met_with_a_warning_or_print(capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings are errors in this suite, so one would surface as another exception."""
    with pytest.raises(ColumnNotFoundError):
        hglm.fit("score ~ huors + (1 | school)", frame())
    assert capsys.readouterr() == ("", "")
