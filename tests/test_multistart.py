"""Several starts: the same answer from each seed, the best of several optima, honest counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.mode import least_information
from hglm.errors import OptionError
from stress_glmm_models import CONCAVE, stress_model


def frame() -> pd.DataFrame:
    """Draw counts of twelve groups with extra zeros."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(12), 5)
    x = rng.normal(size=60)
    y = np.where(rng.random(60) < 0.3, 0, rng.poisson(np.exp(0.5 + x + rng.normal(size=12)[g])))
    return pd.DataFrame({"y": y, "x": x, "g": g})


def zero_inflated(method: object = None) -> hglm.Fit:
    fit: hglm.Fit = hglm.fit(
        "y ~ x + (x | g)", frame(), "poisson", zero_inflation="~ 1", method=method
    )
    return fit


@pytest.mark.parametrize("seed", sorted(set(range(20)) - {2, 14, 17}))
def test_concavity_is_recognised(seed: int) -> None:
    """By families whose second derivative is known in closed form (see `CONCAVE`)."""
    model = stress_model(seed)
    fit = hglm.fit(model.formula, model.data, model.family, **model.options)
    assert fit.certificate.log_concave == (model.kind in CONCAVE)


def test_heavy_tailed_links_are_not_concave_and_canonical_ones_are() -> None:
    data = frame().assign(hit=lambda d: (d["y"] > 1).astype(float))
    for link, concave in [("logit", True), ("cauchit", False)]:
        fit = hglm.fit("hit ~ x + (1 | g)", data, "binomial", link=link)
        assert fit.certificate.log_concave == concave


def test_random_effects_in_two_predictors_are_not_concave_together() -> None:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(15), 6)
    data = pd.DataFrame({"y": np.exp(0.4 * rng.normal(size=15))[g] * rng.normal(size=90), "g": g})
    fit = hglm.fit("y ~ 1 + (1 | g)", data, dispersion="~ 1 + (1 | g)")
    assert fit.certificate.may_have_other_modes


def test_one_start_says_that_there_may_be_other_optima_and_how_to_look() -> None:
    fit = zero_inflated()
    assert fit.certificate.starts == 1
    assert fit.certificate.may_have_other_modes
    text = " ".join(str(fit.summary()).split())
    assert "may have other optima: method=hglm.Laplace(starts=8)" in text


def test_more_starts_count_the_ends_and_never_end_higher() -> None:
    one, many = zero_inflated(), zero_inflated(hglm.Laplace(starts=6))
    assert many.llf >= one.llf - 1e-6
    assert many.certificate.starts == 6
    assert 1 <= many.certificate.agreeing <= 6
    assert "6 starts" in str(many.summary())


def test_a_seed_gives_the_same_fit_again() -> None:
    first, again = (zero_inflated(hglm.Laplace(starts=4, seed=7)) for _ in range(2))
    assert first.llf == again.llf
    assert first.certificate == again.certificate


def test_quadrature_takes_several_starts_too() -> None:
    fit = zero_inflated(hglm.Quadrature(3, starts=3))
    assert fit.certificate.starts == 3


def test_poor_approximations_are_searched_from_more_starts_unasked() -> None:
    """Slopes separate these binary data, and Laplace's likelihood has several optima."""
    model = stress_model(2)
    fit = hglm.fit(model.formula, model.data, model.family, **model.options)
    one = hglm.fit(
        model.formula, model.data, model.family, method=hglm.Laplace(starts=1), **model.options
    )
    assert fit.certificate.starts == 16
    assert fit.llf > one.llf + 0.1
    assert fit.certificate.may_have_other_modes


@pytest.mark.parametrize("starts", [0, -1, 2.5, "many", True])
def test_wrong_numbers_of_starts_are_refused(starts: object) -> None:
    with pytest.raises(OptionError, match="whole number of starts"):
        hglm.Laplace(starts=starts)  # type: ignore[arg-type]


def test_modes_are_found_where_the_information_of_a_start_is_huge() -> None:
    """Counts of 1e7 with offsets of ±20 by group: from u = 0 to a distance of e^20.

    The intercepts absorb the offsets, so that the model is that without offsets, but for the
    variance of the intercepts.
    """
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(12), 8)
    x = rng.normal(size=96)
    y = rng.poisson(1e7 * np.exp(0.3 * x + 0.2 * rng.normal(size=12)[g]))
    data = pd.DataFrame({"y": y, "x": x, "g": g, "o": np.where(g % 2, 20.0, -20.0)})
    fit = hglm.fit("y ~ x + offset(o) + (1 | g)", data, "poisson")
    plain = hglm.fit("y ~ x + (1 | g)", data, "poisson")
    assert fit.converged
    assert fit.params["x"] == pytest.approx(plain.params["x"], abs=1e-6)
    assert fit.varcorr["sdcor"][0] == pytest.approx(20.0, abs=0.1)
    state = fit.estimates.state
    for step in (1e-4, 1e-2):
        psi = state.psi + step * np.eye(3)[0]
        cold = evaluate_laplace(state.problem, psi, None, 1e-11)
        warm = evaluate_laplace(state.problem, psi, state.evaluation.mode.u, 1e-11)
        assert cold.value == pytest.approx(warm.value, abs=1e-4)
        assert least_information(cold.mode) > 1.0
