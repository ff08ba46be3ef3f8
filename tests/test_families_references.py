"""Log likelihoods at the optima of other programs.

glmmTMB 1.1.5, R 4.2.2: `glmmTMB(count ~ mined, Salamanders, family = ...)`, with
`ziformula = ~1` where there is a last value; `count > 0` for the truncated families.
Fixed effects, `sigma()` and logLik printed with 15 digits.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from hglm.datasets import load_dataset
from hglm.families import (
    ConwayMaxwellPoisson,
    Cumulative,
    Family,
    GeneralizedPoisson,
    NegativeBinomial,
    NegativeBinomial1,
    Poisson,
    Truncated,
    Tweedie,
    Wanted,
    ZeroInflated,
    bind,
    hurdle,
)
from reference_data import reference

# logLik, intercept, effect of no mining, sigma (None: none), other predictors
_GLMMTMB: list[tuple[Family, tuple[float, float, float], float | None, tuple[float, ...]]] = [
    (
        GeneralizedPoisson(),
        (-872.30720325012931, -1.01763675010812, 1.80808605142500),
        4.42397149236163,
        (),
    ),
    (
        NegativeBinomial1(),
        (-870.718657534178533, -0.998717084990369, 1.786291744029008),
        3.011427918174570,
        (),
    ),
    (
        NegativeBinomial(),
        (-878.167721654389652, -1.219240100115646, 2.036762289852752),
        0.565748906038343,
        (),
    ),
    (
        Truncated(Poisson()),
        (-600.728073696000251, 0.335386485342882, 0.932680913316599),
        None,
        (),
    ),
    (
        Truncated(NegativeBinomial()),
        (-509.161902203698276, -0.155588642710637, 1.132340337456717),
        0.996393506212745,
        (),
    ),
    (
        Truncated(NegativeBinomial1()),
        (-510.00765705921924, -14.55211305121679, 15.54700074379541),
        2.45157115551761,
        (),
    ),
    (
        ZeroInflated(NegativeBinomial()),
        (-878.053936322785603, -1.138747978920249, 2.026466092878792),
        0.662615743888622,
        (-2.551057444777327,),
    ),
    (
        hurdle(NegativeBinomial()),
        (-942.336971794320561, -0.155592880060632, 1.132344397779411),
        0.996393903564401,
        (0.409348180240138,),
    ),
    (
        Tweedie(),
        (-883.82947760381796, -1.219240856999279, 2.036763821168612),
        math.exp(0.971727961801526),
        (-1.161128968156444,),
    ),
]


@pytest.mark.parametrize("row", _GLMMTMB, ids=lambda r: r[0].name)
def test_log_likelihood_is_that_of_glmmtmb(row) -> None:
    family, (llf, intercept, slope), sigma, others = row
    frame = load_dataset("salamanders")
    if family.support == "positive_counts":
        frame = frame[frame["count"] > 0]
    y = frame["count"].to_numpy(float)
    eta = intercept + slope * (frame["mined"] == "no").to_numpy(float)
    extra = () if sigma is None else (math.log(sigma),)
    value = bind(family, y).derivatives((eta, *extra, *others), Wanted(0)).value
    # rounding of the parameters to 15 digits moves a maximum only in second order
    assert value.sum() == pytest.approx(llf, abs=1e-10)


def test_ordinal_probabilities_are_those_of_clmm() -> None:
    """P(observed category) at the modes of `wine_clmm_logit`, first ten rows."""
    stored = reference("wine_clmm_logit")
    wine = load_dataset("wine").head(10)
    modes = dict(
        zip(
            stored["ranef"]["judge"]["levels"],
            np.ravel(stored["ranef"]["judge"]["values"]),
            strict=True,
        )
    )
    warm, contact = (wine["temp"] == "warm"), (wine["contact"] == "yes")
    slopes = stored["fixef"]
    eta = slopes[0] * warm + slopes[1] * contact + wine["judge"].astype(str).map(modes)
    theta = np.asarray(stored["thresholds"]["values"])
    steps = (theta[0], *np.log(np.diff(theta)))
    codes = wine["rating"].astype(int).to_numpy(float) - 1.0
    at = bind(Cumulative(categories=5), codes).derivatives((eta.to_numpy(float), *steps), Wanted(0))
    np.testing.assert_allclose(np.exp(at.value), stored["fitted_head"], rtol=1e-12)


def test_underdispersed_counts_have_glmmtmbs_likelihood() -> None:
    """glmmTMB 1.1.5, `set.seed(1); y <- rbinom(200, 12, .4); glmmTMB(y ~ 1, compois)`."""
    tally = [0, 2, 8, 26, 45, 53, 37, 21, 4, 4]
    y = np.repeat(np.arange(float(len(tally))), tally)
    at = bind(ConwayMaxwellPoisson(), y).derivatives(
        (1.587192308175214, math.log(0.461737224140792)), Wanted(0)
    )
    assert at.value.sum() == pytest.approx(-369.323989046349197, abs=1e-10)


def test_very_overdispersed_conway_maxwell_counts_are_geometric() -> None:
    """With 1/ν = 9.9e8, where glmmTMB stops on these data, it is nbinom2 of size 1."""
    frame = load_dataset("salamanders")
    y = frame["count"].to_numpy(float)
    eta = -1.21924027646371 + 2.03676247437214 * (frame["mined"] == "no").to_numpy(float)
    geometric = bind(NegativeBinomial(), y).derivatives((eta, 0.0), Wanted(0)).value
    limit = bind(ConwayMaxwellPoisson(), y).derivatives((eta, 16.0), Wanted(0)).value
    assert geometric.sum() == pytest.approx(-890.098225040680, abs=1e-6)
    np.testing.assert_allclose(limit, geometric, rtol=1e-5)
