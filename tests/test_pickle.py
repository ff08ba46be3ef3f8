"""Fits survive pickling: what they say, and what they can still compute."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import hglm

LEVELS = [f"g{i:02d}" for i in range(20)]
RELATED = {"g": pd.DataFrame(0.5 * np.eye(20) + 0.5, LEVELS, LEVELS)}
MODELS = {
    "linear": ("y ~ x + (x | g)", {}),
    "crossed": ("y ~ x + (1 | g) + (1 | h)", {}),
    "autoregressive": ("y ~ x + ar1(0 + time | g)", {}),
    "related levels": ("y ~ x + (1 | g)", {"covariances": RELATED}),
    "no random effects": ("y ~ x", {}),
    "poisson": ("count ~ x + (1 | g)", {"family": "poisson"}),
    "quadrature": ("hit ~ x + (1 | g)", {"family": "binomial", "method": hglm.Quadrature(5)}),
    "two predictors": ("count ~ x + (1 | g)", {"family": "nbinom2", "dispersion": "~ x"}),
    "zero inflation": ("count ~ x + (1 | g)", {"family": "poisson", "zero_inflation": "~ 1"}),
    "tweedie": ("size ~ x + (1 | g)", {"family": "tweedie"}),
    "ordinal": ("rating ~ x + (1 | g)", {"family": "ordinal"}),
}


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n = 160
    frame = pd.DataFrame({"x": rng.normal(size=n), "time": np.tile(np.arange(8), 20)})
    frame["g"] = np.repeat(LEVELS, 8)
    frame["h"] = rng.choice(list("abcdefg"), n)
    level = np.repeat(rng.normal(scale=0.7, size=20), 8)
    frame["y"] = 1.0 + frame["x"] + level + rng.normal(size=n)
    frame["count"] = rng.poisson(np.exp(0.5 + 0.3 * frame["x"] + level)) * (rng.random(n) > 0.2)
    frame["hit"] = (frame["y"] > 1.0).astype(int)
    frame["size"] = frame["count"] * rng.gamma(2.0, size=n)
    frame["rating"] = pd.cut(frame["y"], 4, labels=list("lmno"))
    return frame


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_that_was_pickled_says_and_does_the_same(data: pd.DataFrame, name: str) -> None:
    formula, options = MODELS[name]
    fit = hglm.fit(formula, data, **options)
    again = pickle.loads(pickle.dumps(fit))
    assert str(again.summary()) == str(fit.summary())
    pd.testing.assert_frame_equal(again.ranef(), fit.ranef())
    new = data.head(5).assign(x=0.3)
    np.testing.assert_array_equal(np.asarray(again.predict(new)), np.asarray(fit.predict(new)))
    if name not in ("ordinal", "no random effects"):
        before, after = fit.bootstrap(3, seed=2).replicates, again.bootstrap(3, seed=2).replicates
        pd.testing.assert_frame_equal(after, before)
