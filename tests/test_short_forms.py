"""What results of one line say at the prompt: their own numbers, rounded."""

from __future__ import annotations

import pytest

import hglm


@pytest.fixture(scope="module")
def fit() -> hglm.Fit:
    return hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))


def test_a_hypothesis_shows_its_degrees_of_freedom(fit: hglm.Fit) -> None:
    assert repr(fit.test("days")) == "F(1, 17) = 45.85, p = 3.26e-06"
    assert repr(fit.test("days", ddf="asymptotic")).startswith("F(1, inf) = 45.85, p = ")


def test_shares_of_variance_say_what_they_are_of(fit: hglm.Fit) -> None:
    found = fit.r2()
    shown = repr(found)
    assert f"R²: {found.r2_marginal:.4f} marginal" in shown
    assert f"ICC: {found.icc_adjusted:.4f} adjusted" in shown
    assert f"{found.distribution:.4g} distribution" in shown


def test_the_conditional_aic_shows_its_parts(fit: hglm.Fit) -> None:
    found = fit.conditional_aic()
    assert repr(found) == (
        f"Conditional AIC {found.caic:.2f}: log likelihood {found.log_likelihood:.2f}, "
        f"{found.rho:.2f} effective parameters ({found.effective:.2f} with θ known)"
    )
