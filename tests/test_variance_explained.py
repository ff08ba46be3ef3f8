"""R², ICC and tests of dropped terms: performance's and lme4's numbers, and closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.errors import OptionError
from reference_data import inference_ids, inference_reference, reference, reference_frame

EXPLAINED = [i for i in inference_ids() if "r2" in inference_reference(i)]
DROPPED = [i for i in inference_ids() if "drop1" in inference_reference(i)]


def fitted(name: str) -> hglm.Fit:
    stored = reference(name)
    return hglm.fit(
        stored["formula"],
        reference_frame(stored),
        stored["family"],
        link=stored["link"],
        method=stored["method"],
        offset=stored["offset"],
        weights=stored["weights"],
    )


@pytest.mark.parametrize("name", EXPLAINED)
def test_r2_and_icc_are_those_of_performance(name: str) -> None:
    here, there = fitted(name).r2(), inference_reference(name)["r2"]
    for key in ("r2_marginal", "r2_conditional", "icc_adjusted", "icc_unadjusted"):
        assert getattr(here, key) == pytest.approx(there[key], abs=2e-6), key


@pytest.mark.parametrize("name", DROPPED)
def test_dropped_terms_are_those_of_lme4(name: str) -> None:
    table, there = fitted(name).drop1(), inference_reference(name)["drop1"]["table"]
    np.testing.assert_allclose(table["aic"], [row["aic"] for row in there], atol=1e-6)
    np.testing.assert_allclose(table["chisq"].iloc[1:], [r["chisq"] for r in there[1:]], atol=1e-5)
    np.testing.assert_allclose(table["p_value"].iloc[1:], [r["p"] for r in there[1:]], rtol=1e-4)


def test_icc_of_a_balanced_layout_is_that_of_its_mean_squares() -> None:
    rng = np.random.default_rng(1)
    q, r = 10, 6
    frame = pd.DataFrame({"g": np.repeat(np.arange(q), r)})
    frame["y"] = np.repeat(rng.normal(0.0, 2.0, q), r) + rng.normal(size=q * r)
    groups = frame.groupby("g")["y"]
    between = r * groups.mean().var()
    within = groups.var().mean()
    variance = (between - within) / r
    explained = hglm.fit("y ~ 1 + (1 | g)", frame).r2()
    assert explained.icc_adjusted == pytest.approx(variance / (variance + within), rel=1e-8)
    assert explained.r2_marginal == 0.0


def test_a_singular_model_has_r2() -> None:
    """PITFALLS row 22: R² given up at the boundary."""
    explained = hglm.fit("yield ~ 1 + (1 | batch)", hglm.load_dataset("dyestuff2")).r2()
    assert explained.random == 0.0
    assert explained.r2_conditional == explained.r2_marginal == 0.0


def test_families_without_an_agreed_r2_are_refused() -> None:
    fit = hglm.fit(
        "y_gamma ~ x + (1 | group)", hglm.load_dataset("sim_positive"), "gamma", link="inverse"
    )
    with pytest.raises(OptionError, match="not defined for the gamma family"):
        fit.r2()


def test_only_terms_that_no_other_contains_are_dropped() -> None:
    fit = hglm.fit(
        "yield ~ nitro_f * variety + (1 | block/variety)", hglm.load_dataset("oats"), method="ml"
    )
    assert list(fit.drop1().index) == ["<none>", "nitro_f:variety"]
