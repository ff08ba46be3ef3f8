"""A fit with a robust covariance: whatever depends on the covariance says the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hglm
from hglm.errors import OptionError
from test_robust_generalised import MODELS, data_frame


@pytest.fixture(scope="module")
def sleep():
    data = hglm.load_dataset("sleepstudy")
    data["late"] = pd.Categorical(np.where(data["days"] > 4, "late", "early"))
    return hglm.fit("reaction ~ days + late + (1 | subject)", data)


@pytest.fixture(scope="module")
def counts():
    text, more = MODELS["zero inflation"]
    return hglm.fit(text, data_frame(), **more)


@pytest.fixture(scope="module")
def rated():
    text, more = MODELS["ordinal"]
    return hglm.fit(text, data_frame(), **more)


@pytest.mark.parametrize("name", ["sleep", "counts", "rated"])
def test_every_table_has_the_robust_standard_errors(name, request):
    fit = request.getfixturevalue(name)
    view = fit.with_cov("CR1")
    robust = fit.robust("CR1")
    p = len(fit.params)
    se, df = np.sqrt(np.diagonal(robust.vcov)), robust.each(np.eye(p))
    np.testing.assert_allclose(view.cov_params(), robust.vcov)
    np.testing.assert_allclose(view.bse, se)
    np.testing.assert_allclose(view.tvalues, fit.params / se)
    np.testing.assert_allclose(view.pvalues, 2 * stats.t.sf(np.abs(fit.params / se), df))
    half = stats.t.ppf(0.975, df) * se
    expected = np.column_stack([fit.params - half, fit.params + half])
    np.testing.assert_allclose(view.conf_int(), expected)
    np.testing.assert_allclose(view.coefficients()["std_error"], se)
    tidy = view.tidy()
    np.testing.assert_allclose(tidy.loc[tidy["effect"] == "fixed", "std_error"], se)
    names = list(view.params.index)
    x = np.eye(p)[names.index("days" if name == "sleep" else "x")]
    single = view.test(x)
    np.testing.assert_allclose(single.F, (x @ fit.params) ** 2 / (x @ robust.vcov @ x))
    assert single.den_df == pytest.approx(robust.each(x[None])[0])
    slopes = view.emtrends("days" if name == "sleep" else "x").frame
    assert slopes["std_error"][0] == pytest.approx(np.sqrt(x @ robust.vcov @ x))
    table = view.anova()
    assert list(table) == ["num_df", "den_df", "statistic", "p_value"]
    assert table.loc["days" if name == "sleep" else "x", "statistic"] == pytest.approx(single.F)
    assert f"CR1, {robust.n_clusters} clusters of {robust.cluster}" in " ".join(
        str(view.summary()).split()
    )
    assert "clusters" not in str(fit.summary())
    pd.testing.assert_frame_equal(view.with_cov("model").coefficients(), fit.coefficients())


def test_the_best_kind_is_the_default(sleep, counts):
    assert sleep.with_cov().covariance.kind == "CR2"
    assert counts.with_cov().covariance.kind == "CR1"


def test_further_predictors_are_robust_too(counts):
    view = counts.with_cov()
    expected = view.covariance.others["zero_inflation"]
    np.testing.assert_allclose(view.others["zero_inflation"].vcov, expected)
    assert not np.allclose(counts.others["zero_inflation"].vcov, expected)
    shown = view.summary().tables["zero_inflation"]["std_error"]
    np.testing.assert_allclose(shown, np.sqrt(np.diagonal(expected)))


def test_other_degrees_of_freedom_keep_the_covariance(sleep):
    view = sleep.with_cov("CR2")
    normal = view.coefficients("asymptotic")
    np.testing.assert_allclose(normal["std_error"], view.bse)
    assert np.isinf(normal["df"]).all()
    assert list(view.anova(ddf="asymptotic")) == ["statistic", "df", "p_value"]
    np.testing.assert_allclose(view.emmeans("late", ddf=9).frame["df"], 9.0)
    with pytest.raises(OptionError, match="degrees of freedom of its own"):
        view.anova(ddf="kenward-roger")


def test_means_and_tests_of_terms_agree_with_the_covariance(sleep):
    view = sleep.with_cov("CR2")
    both = view.emmeans("late").contrast("pairwise").frame
    names = list(view.params.index)
    j = next(i for i, term in enumerate(names) if term.startswith("late"))
    assert both["std_error"][0] == pytest.approx(view.bse.iloc[j])
    joint = view.joint_tests().set_index("term")
    expected = view.anova().loc["late"]
    assert joint.loc["late", "statistic"] == pytest.approx(expected["statistic"])
    assert joint.loc["late", "den_df"] == pytest.approx(expected["den_df"])


@pytest.mark.parametrize("name", ["sleep", "counts"])
def test_confidence_intervals_of_the_population_line_use_it(name, request):
    view = request.getfixturevalue(name).with_cov()
    found = view.predict(random="none", interval="confidence", scale="link")
    X, V = view.design.mean.X, view.cov_params().to_numpy()
    se = np.sqrt(np.einsum("ni,ij,nj->n", X, V, X))
    np.testing.assert_allclose(found["std_error"], se)
    half = stats.t.ppf(0.975, view.covariance.each(X)) * se
    np.testing.assert_allclose(found["conf_high"] - found["fit"], half, rtol=1e-8)
    for options in ({"interval": "confidence"}, {"interval": "prediction", "random": "none"}):
        with pytest.raises(OptionError, match="one of the fixed effects"):
            view.predict(**options)
    np.testing.assert_allclose(view.predict(), view.with_cov("model").predict())


def test_too_few_clusters_for_a_joint_test_give_none():
    data = data_frame()
    fit = hglm.fit("count ~ x * h + (1 | school)", data, family="poisson")
    table = fit.with_cov().anova()
    assert table.loc["h"].isna().sum() == 3  # 11 rows from 4 clusters
    assert table.loc["x"].notna().all()
