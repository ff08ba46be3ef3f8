"""Wrong questions about marginal means: what is named, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import hglm
from hglm.errors import DataError, OptionError
from hglm.report.marginal_means import EmmTable, emmeans, emtrends
from hglm.result import Fit


@cache
def fit() -> Fit:
    return hglm.fit("distance ~ age * sex + (1 | subject)", hglm.load_dataset("orthodont"))


def means(*args: Any, **options: Any) -> EmmTable:
    found = fit()
    return emmeans(found.estimates, found.design, found.spec, found.family, *args, **options)


def slopes(*args: Any, **options: Any) -> EmmTable:
    found = fit()
    return emtrends(found.estimates, found.design, found.spec, found.family, *args, **options)


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: means("sexx"), "There is no variable `sexx` in the fixed part. Did you mean `sex`?"),
    (lambda: means("sex", by="subject"), "There is no variable `subject` in the fixed part."),
    (lambda: means("~ sex | agge"), "There is no variable `agge` in the fixed part."),
    (lambda: means("pairwise ~ sex"), "ask for the means first and for their contrasts by"),
    (lambda: means("sex", at={"ag": 3}), "The argument `at` names `ag`, which is no variable"),
    (lambda: means("sex", at={"sex": "Mail"}), "has `Mail` for `sex`, which the data do not have"),
    (lambda: means("sex", at={"age": "old"}), "has 'old' for `age`, which is a number"),
    (lambda: means("sex", at={"age": np.inf}), "a value for `age` that is not finite"),
    (lambda: means("sex", at={"age": []}), "The argument `at` has no values for `age`"),
    (lambda: means("age", at={"age": range(100_001)}), "has 200002 points; fix some"),
    (lambda: means("sex", weights="same"), "There are no weights='same'."),
    (lambda: means("sex", ddf="welch"), "There is no method ddf='welch'"),
    (lambda: means("sex", ddf=-1.0), "The option ddf=-1.0 is not positive"),
    (lambda: means("sex", level=95), "The option level=95 is not between 0 and 1"),
    (lambda: means("sex", scale="log"), "The option scale='log' is neither"),
    (lambda: means("sex").contrast("pairwize"), "There is no method 'pairwize' of contrasts. Did"),
    (lambda: means("sex").contrast({"x": [1.0, 2.0, 3.0]}), "finite number for each of `Male` and"),
    (lambda: means("sex").contrast("trt_vs_ctrl", reference="M"), "no row 'M' to compare with"),
    (lambda: means("sex").pairs("bonferoni"), "There is no adjustment adjust='bonferoni'. Did"),
    (lambda: means("sex").pairs(by="age"), "The table has no label `age` to divide by"),
    (lambda: means("sex").pairs().test(side="less"), "is for two-sided tests; use"),
    (lambda: means("sex").test(side="left"), "The option side='left' is none of"),
    (lambda: means("sex").cld(alpha=5), "The option alpha=5 is not between 0 and 1"),
    (lambda: means("sex").interaction({"age": "poly"}), "needs one method for each of `sex`"),
    (lambda: slopes("sex"), "`sex` is a factor and has no slope"),
    (lambda: slopes("height", "sex"), "There is no variable `height` in the fixed part."),
]


@pytest.mark.parametrize("place", range(len(WRONG)))
def test_an_error_names_the_thing_and_the_remedy(place: int) -> None:
    ask, message = WRONG[place]
    with pytest.raises(OptionError) as caught:
        ask()
    assert message in str(caught.value)
    assert str(caught.value).endswith((".", "?"))


def test_a_covariate_has_its_mean_unless_values_are_given() -> None:
    at_mean = means("age").frame
    assert at_mean["age"].tolist() == [11.0]
    assert means("age", at={"age": [8, 14]}).frame["age"].tolist() == [8, 14]


def test_a_fit_without_its_data_says_so() -> None:
    bare = fit().without_data()
    with pytest.raises(DataError, match="Marginal means need the data of the fit"):
        emmeans(bare.estimates, bare.design, bare.spec, bare.family, "sex")


def test_a_variable_called_like_a_result_is_refused() -> None:
    data = hglm.load_dataset("orthodont").rename(columns={"sex": "df"})
    found = hglm.fit("distance ~ df + (1 | subject)", data)
    with pytest.raises(OptionError, match="`df` has the name of a column of results"):
        emmeans(found.estimates, found.design, found.spec, found.family, "df")


def test_a_model_with_nothing_but_an_intercept_has_an_overall_mean() -> None:
    found = hglm.fit("distance ~ 1 + (1 | subject)", hglm.load_dataset("orthodont"))
    table = emmeans(found.estimates, found.design, found.spec, found.family, "1")
    assert table.frame["estimate"][0] == pytest.approx(found.params["Intercept"])
    with pytest.raises(OptionError, match="There is no variable `sex`"):
        emmeans(found.estimates, found.design, found.spec, found.family, "sex")


def test_one_mean_has_no_contrasts() -> None:
    assert len(means("1").pairs().frame) == 0


@pytest.mark.parametrize("name", ["t", "z", "p", "F"])
def test_a_factor_may_be_called_like_a_heading(name: str) -> None:
    data = hglm.load_dataset("oats").rename(columns={"variety": name})
    text = str(hglm.fit(f"yield ~ {name} + (1 | block)", data).emmeans(name))
    assert "Golden Rain" in text
