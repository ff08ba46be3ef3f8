"""A search starts where the data are possible, whatever the link can reach."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hglm


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 8])
def test_an_identity_link_starts_with_positive_means(seed: int) -> None:
    """The least-squares line through these responses is negative at some rows.

    The slope is known: drawn from the model, the estimate is within three standard errors.
    """
    rng = np.random.default_rng(seed)
    g, x = np.repeat(np.arange(10), 12), rng.exponential(size=120)
    mu = 0.05 + 1.2 * x + rng.uniform(0.0, 0.05, 10)[g]
    data = pd.DataFrame({"y": rng.gamma(1.0, mu), "x": x, "g": g})
    slope, level = np.polyfit(x, data["y"], 1)
    assert np.min(level + slope * x) < 0.0
    fit = hglm.fit("y ~ x + (1 | g)", data, family="gamma", link="identity")
    assert fit.converged
    assert abs(fit.params["x"] - 1.2) < 3.0 * fit.bse["x"]
