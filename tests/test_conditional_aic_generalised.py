"""Conditional AIC of counts and proportions: closed forms, lme4, a dense optimiser."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

import hglm
from hglm.errors import DataError, OptionError


def small(seed: int = 2) -> pd.DataFrame:
    """Draw counts and proportions of 6 groups, crossed with h."""
    rng = np.random.default_rng(seed)
    n = 18
    g, h = np.arange(n) % 6, np.arange(n) // 6 % 3
    x = rng.normal(size=n)
    eta = 0.5 + 0.5 * x + 0.7 * rng.normal(size=6)[g] + 0.4 * rng.normal(size=3)[h]
    trials = rng.integers(1, 6, n)
    return pd.DataFrame(
        {
            "y": (y := rng.poisson(np.exp(eta))),
            "more": y + 4,
            "hits": rng.binomial(trials, special.expit(eta - 0.4)),
            "trials": trials,
            "x": x,
            "g": [f"g{i}" for i in g],
            "h": [f"h{i}" for i in h],
        }
    )


NAMES = [f"g{i}" for i in range(6)]
RELATED = pd.DataFrame(0.7 * np.eye(6) + 0.3, NAMES, NAMES)

MODELS = {
    "poisson": ("y ~ x + (1 | g)", {"family": "poisson"}),
    "slopes": ("y ~ x + (x | g)", {"family": "poisson"}),
    "root": ("more ~ x + (1 | g)", {"family": "poisson", "link": "sqrt"}),
    "crossed": ("y ~ x + (1 | g) + (1 | h)", {"family": "poisson"}),
    "related": ("y ~ x + (1 | g)", {"family": "poisson", "covariances": {"g": RELATED}}),
    "quadrature": ("y ~ x + (1 | g)", {"family": "poisson", "method": hglm.Quadrature(5)}),
    "binomial": ("cbind(hits, trials - hits) ~ x + (1 | g)", {"family": "binomial"}),
    "probit": (
        "cbind(hits, trials - hits) ~ x + (1 | g)",
        {"family": "binomial", "link": "probit"},
    ),
}


def canonical(fit, row: int) -> float:
    eta, link = fit.estimates.linear_predictor[row], fit.family.parameters[0].link.name
    if link == "probit":
        return float(special.logit(special.ndtr(eta)))
    return float(2 * np.log(eta)) if link == "sqrt" else float(eta)


def by_definition(name: str, data: pd.DataFrame) -> float:
    """One whole model for each altered data frame."""
    text, more = MODELS[name]
    fit, total = hglm.fit(text, data, **more), 0.0
    mean = fit.fittedvalues.to_numpy()
    for i in range(len(data)):
        own = canonical(fit, i)
        if more["family"] == "poisson":
            name = text.split()[0]
            if (y := data[name].iloc[i]) > 0:
                other = data.assign(**{name: data[name].where(np.arange(len(data)) != i, y - 1)})
                total += y * (own - canonical(hglm.fit(text, other, **more), i))
            continue
        k, m = data.loc[i, ["hits", "trials"]]
        for turned, count in ((k - 1, k), (k + 1, k - m)):
            if count:
                other = data.assign(hits=data["hits"].where(np.arange(len(data)) != i, turned))
                change = own - canonical(hglm.fit(text, other, **more), i)
                total += mean[i] * (1 - mean[i]) * count * change
    return total


@pytest.mark.parametrize("name", MODELS)
def test_rho_is_that_of_whole_fits_to_altered_data(name):
    data = small()
    text, more = MODELS[name]
    found = hglm.fit(text, data, **more).conditional_aic()
    assert found.rho == pytest.approx(by_definition(name, data), rel=1e-4)
    assert found.caic == pytest.approx(-2 * found.log_likelihood + 2 * found.rho)


def test_a_common_mean_has_closed_forms():
    """Poisson: S log(S/(S - 1)); binary: every one of k ones among n is turned, and back."""
    y = np.array([0, 3, 1, 4, 2, 2])
    found = hglm.fit("y ~ 1", pd.DataFrame({"y": y}), family="poisson").conditional_aic()
    assert found.rho == pytest.approx(12 * np.log(12 / 11), rel=1e-6)
    assert found.effective == pytest.approx(1.0, rel=1e-6)
    assert found.log_likelihood == pytest.approx(stats.poisson.logpmf(y, 2.0).sum(), rel=1e-8)
    data = pd.DataFrame({"hit": [1, 0, 0, 1, 1, 0, 1, 0, 0]})
    found = hglm.fit("hit ~ 1", data, family="binomial").conditional_aic()
    odds = [np.log(k / (9 - k)) for k in (3, 4, 5)]
    expected = 20 / 81 * (4 * (odds[1] - odds[0]) + 5 * (odds[2] - odds[1]))
    assert found.rho == pytest.approx(expected, rel=1e-6)


def test_trials_may_be_told_one_by_one():
    """The same model, grouped and not: the same ρ."""
    data = small()
    grouped = hglm.fit("cbind(hits, trials - hits) ~ x + (1 | g)", data, family="binomial")
    long = data.loc[data.index.repeat(data["trials"])]
    number = long.groupby(level=0).cumcount()
    long = long.assign(hit=(number < long["hits"]).astype(int)).reset_index(drop=True)
    single = hglm.fit("hit ~ x + (1 | g)", long, family="binomial")
    one, two = grouped.conditional_aic(), single.conditional_aic()
    assert one.rho == pytest.approx(two.rho, rel=1e-4)
    assert one.effective == pytest.approx(two.effective, rel=1e-5)


def test_a_dense_optimiser_agrees():
    """Laplace's approximation maximised by SciPy, with a normal approximation of its own."""
    data = small()
    y0, x, g = data["y"].to_numpy(float), data["x"].to_numpy(), np.arange(18) % 6
    Z = np.eye(6)[g]

    def mode(parameters, y):
        b0, b1, sd = parameters
        u = np.zeros(6)
        for _ in range(50):
            mu = np.exp(b0 + b1 * x + sd * Z @ u)
            H = np.eye(6) + sd**2 * Z.T @ (mu[:, None] * Z)
            step = np.linalg.solve(H, u - sd * Z.T @ (y - mu))
            u = u - step
            if np.abs(step).max() < 1e-12:
                break
        return u, H, b0 + b1 * x + sd * Z @ u

    def deviance(parameters, y):
        u, H, eta = mode(parameters, y)
        return -2 * (y @ eta - np.exp(eta).sum()) + u @ u + np.linalg.slogdet(H)[1]

    def predictor(y, start):
        found = optimize.minimize(
            deviance, start, (y,), "Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10}
        )
        return mode(found.x, y)[2], found.x

    eta, best = predictor(y0, [0.5, 0.5, 0.7])
    rho = 0.0
    for i in np.flatnonzero(y0):
        less = y0 - np.eye(18)[i]
        rho += y0[i] * (eta[i] - predictor(less, best)[0][i])
    found = hglm.fit("y ~ x + (1 | g)", data, family="poisson").conditional_aic()
    assert found.rho == pytest.approx(rho, rel=1e-4)


def test_refits_of_lme4_agree():
    """lme4 1.1-31, each altered data set by glmer; the sum by hand as in cAIC4's Poisson case.

    ``data(grouseticks); d <- droplevels(subset(grouseticks, YEAR == "95"))``;
    ``d$h <- (d$HEIGHT - 460) / 100; f <- glmer(TICKS ~ h + (1 | BROOD), d, poisson)``;
    ``rho <- sum over TICKS[i] > 0 of TICKS[i] * (eta[i] - eta of update(f, data = e)[i])``
    with ``e$TICKS[i] <- d$TICKS[i] - 1``; likewise cbpp with both neighbours. glmer stops
    within 1e-3 of the optimum of cbpp.
    """
    data = hglm.load_dataset("grouseticks")
    data = data[data["year"] == "y95"].assign(h=lambda d: (d["height"] - 460) / 100)
    data["brood"] = data["brood"].cat.remove_unused_categories()
    found = hglm.fit("ticks ~ h + (1 | brood)", data, family="poisson").conditional_aic()
    assert found.rho == pytest.approx(27.77504895, rel=1e-5)
    assert found.caic == pytest.approx(484.9231702, rel=1e-6)
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    found = hglm.fit(formula, hglm.load_dataset("cbpp"), family="binomial").conditional_aic()
    assert found.rho == pytest.approx(13.52268691, rel=2e-4)
    assert found.caic == pytest.approx(184.4764776, rel=1e-5)


@pytest.mark.parametrize("name", ["poisson", "slopes", "crossed", "probit"])
def test_effective_parameters_are_a_dense_trace(name):
    data = small()
    text, more = MODELS[name]
    fit = hglm.fit(text, data, **more)
    problem, mode = fit.estimates.state.problem, fit.estimates.state.evaluation.mode
    w = -np.asarray(mode.jet[0, 0])
    X = np.column_stack([np.ones(18), data["x"]])
    blocks = []
    for term in fit.estimates.terms:
        codes = fit.design.mean.random[term.position].codes
        columns = fit.design.mean.random[term.position].z @ term.factor
        blocks += [np.eye(codes.max() + 1)[codes] * c[:, None] for c in columns.T]
    Z = np.hstack(blocks)
    C = np.hstack([X, Z])
    W = problem.unsorted(w)
    A = C.T @ (W[:, None] * C)
    penalty = np.diag(np.r_[np.zeros(2), np.ones(Z.shape[1])])
    trace = np.trace(np.linalg.solve(A + penalty, A))
    assert fit.conditional_aic().effective == pytest.approx(trace, rel=1e-5)


def test_a_variance_that_stays_at_zero_counts_for_nothing():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 10)})
    data["y"] = np.tile([2, 3, 4, 3, 3, 3, 2, 4, 3, 3], 8) + (rng.uniform(size=80) < 0.1)
    mixed = hglm.fit("y ~ 1 + (1 | g)", data, family="poisson")
    plain = hglm.fit("y ~ 1", data, family="poisson")
    assert mixed.singular
    assert mixed.conditional_aic().rho == pytest.approx(plain.conditional_aic().rho, rel=1e-4)
    assert mixed.conditional_aic().effective == pytest.approx(1.0)


def test_what_it_is_not_for_says_so():
    data = small().assign(f=2)
    negative = hglm.fit("y ~ x + (1 | g)", data, family="nbinom2")
    with pytest.raises(OptionError, match=r"Poisson and binomial ones.*nbinom2 family"):
        negative.conditional_aic()
    counted = hglm.fit("y ~ x + (1 | g)", data, family="poisson", frequencies="f")
    with pytest.raises(DataError, match="repeat the rows"):
        counted.conditional_aic()
