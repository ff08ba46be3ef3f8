"""Hard data end in an answer or a clear named outcome, and print without a warning.

Warnings are errors in these tests, so that none of NumPy's leaks. Where the answer is known
from a simpler model, it is compared with that one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hglm
from hglm.errors import HglmError

N = 96
Case = tuple[str, pd.DataFrame, dict[str, Any]]


def frame(**columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(12), 8)
    basic = {"g": g, "x": rng.normal(size=N), "row": np.arange(N), "one": 0 * g}
    basic |= {"arm": np.array(list("abcd"))[np.arange(N) % 4]}
    basic |= {"o": np.where(np.arange(N) % 2, 20.0, -20.0), "b": 0.3 * rng.normal(size=12)[g]}
    return pd.DataFrame(basic | columns)


def poisson(mean: float = 3.0) -> np.ndarray:
    data = frame()
    return np.random.default_rng(1).poisson(mean * np.exp(0.3 * data["x"] + data["b"]))


def coin(p: float = 0.5) -> np.ndarray:
    return (np.random.default_rng(2).random(N) < p).astype(float)


def rare(n: float) -> np.ndarray:
    data = frame()
    p = np.exp(2.0 + 0.3 * data["x"] + 2.0 * data["b"]) / n
    return np.random.default_rng(3).binomial(int(n), p).astype(float)


def ordered(codes: object) -> pd.Categorical:
    return pd.Categorical(codes, categories=[0, 1, 2], ordered=True)


LOG = {"link": "log"}
ZI = {"zero_inflation": "~ 1"}
GAMMA = np.random.default_rng(4).gamma(2.0, 1.0, N)
ANSWERED: dict[str, Callable[[], Case]] = {
    "a group of zeros": lambda: ("y ~ x + (1 | g)", frame(y=poisson() * (frame()["g"] != 3)), {}),
    "a group of zeros, zinb": lambda: (
        "y ~ x + (1 | g)",
        frame(y=poisson() * (frame()["g"] != 3)),
        {"family": "nbinom2", **ZI},
    ),
    "one observation a level": lambda: ("y ~ x + (1 | row)", frame(y=poisson()), {}),
    "one observation a level, proportions": lambda: (
        "cbind(y, 10 - y) ~ x + (1 | row)",
        frame(y=np.minimum(poisson(), 10)),
        {"family": "binomial"},
    ),
    "one observation a level, gamma": lambda: (
        "y ~ x + (1 | row)",
        frame(y=GAMMA),
        {"family": "gamma", **LOG},
    ),
    "one observation a level, nbinom2": lambda: (
        "y ~ x + (1 | row)",
        frame(y=poisson()),
        {"family": "nbinom2"},
    ),
    "a variance of zero": lambda: (
        "y ~ x + (x | g)",
        frame(y=np.random.default_rng(5).poisson(3.0, N)),
        {},
    ),
    "two groups": lambda: ("y ~ x + (1 | g)", frame(y=poisson(), g=np.arange(N) // 48), {}),
    "counts of 1e7": lambda: ("y ~ x + (1 | g)", frame(y=poisson(1e7)), {}),
    "counts of 1e7, slopes": lambda: ("y ~ x + (x | g)", frame(y=poisson(1e7)), {}),
    "counts of 1e7, levels of one": lambda: ("y ~ x + (1 | row)", frame(y=poisson(1e7)), {}),
    "counts of 1e7, nbinom2": lambda: (
        "y ~ x + (1 | g)",
        frame(y=np.rint(poisson(1e7) * GAMMA)),
        {"family": "nbinom2"},
    ),
    "counts of 1e7, nbinom1": lambda: (
        "y ~ x + (1 | g)",
        frame(y=poisson(1e7)),
        {"family": "nbinom1"},
    ),
    "counts of 1e7, extra zeros": lambda: (
        "y ~ x + (1 | g)",
        frame(y=poisson(1e7) * coin(0.8)),
        dict(ZI),
    ),
    "counts of 1e7, a separated arm": lambda: (
        "y ~ x + arm + (1 | g)",
        frame(y=poisson(1e7) * (frame()["arm"] != "c")),
        {},
    ),
    "counts of 1e7, offsets": lambda: (
        "y ~ x + offset(o) + (1 | g)",
        frame(y=poisson(1e7), o=np.where(frame()["g"] % 2, 20.0, -20.0)),
        {},
    ),
    "probabilities of 1e-12": lambda: (
        "cbind(y, n - y) ~ x + (1 | g)",
        frame(y=rare(1e12), n=1e12),
        {"family": "binomial"},
    ),
    "probabilities of 1 - 1e-12": lambda: (
        "cbind(n - y, y) ~ x + (1 | g)",
        frame(y=rare(1e12), n=1e12),
        {"family": "binomial"},
    ),
    "probabilities of 1e-12, probit": lambda: (
        "cbind(y, n - y) ~ x + (1 | g)",
        frame(y=rare(1e12), n=1e12),
        {"family": "binomial", "link": "probit"},
    ),
    "one success": lambda: (
        "y ~ x + (1 | g)",
        frame(y=(np.arange(N) == 5).astype(float)),
        {"family": "binomial"},
    ),
    **{
        f"offsets of ±20, {family}": lambda family=family, y=y, options=options: (
            "y ~ x + offset(o) + (1 | g)",
            frame(y=y),
            {"family": family, **options},
        )
        for family, y, options in [
            ("poisson", poisson(), {}),
            ("binomial", coin(), {}),
            ("nbinom2", poisson(), {}),
            ("nbinom1", poisson(), {}),
            ("gamma", GAMMA, LOG),
            ("tweedie", GAMMA * coin(0.7), {}),
            ("cumulative", ordered(np.arange(N) % 3), {}),
        ]
    },
    "offsets of ±20, extra zeros": lambda: (
        "y ~ x + offset(o) + (1 | g)",
        frame(y=poisson()),
        dict(ZI),
    ),
    **{
        f"nothing but zeros, {family}": lambda family=family, options=options: (
            "y ~ x + (1 | g)",
            frame(y=np.zeros(N)),
            {"family": family, **options},
        )
        for family, options in [
            ("poisson", {}),
            ("nbinom2", {}),
            ("nbinom1", {}),
            ("binomial", {}),
        ]
    },
    "nothing but zeros, zip": lambda: ("y ~ x + (1 | g)", frame(y=np.zeros(N)), dict(ZI)),
    "nothing but successes": lambda: (
        "y ~ x + (1 | g)",
        frame(y=np.ones(N)),
        {"family": "binomial"},
    ),
    "constant proportions": lambda: (
        "y ~ x + (1 | g)",
        frame(y=0.5, n=4.0),
        {"family": "binomial", "trials": "n"},
    ),
    "constant counts": lambda: ("y ~ x + (1 | g)", frame(y=2), {}),
    "constant counts, nbinom2": lambda: ("y ~ x + (1 | g)", frame(y=2), {"family": "nbinom2"}),
    "separation, beta-binomial": lambda: (
        "y ~ x + (1 | g)",
        frame(y=(frame()["x"] > 0).astype(float), n=5.0),
        {"family": "beta_binomial", "trials": "n"},
    ),
    "separation, slopes": lambda: (
        "y ~ x + (x | g)",
        frame(y=(frame()["x"] > 0).astype(float)),
        {"family": "binomial"},
    ),
    "separation, quadrature": lambda: (
        "y ~ x + (1 | g)",
        frame(y=(frame()["x"] > 0).astype(float)),
        {"family": "binomial", "method": "quadrature"},
    ),
    "separation, no random effects": lambda: (
        "y ~ x",
        frame(y=(frame()["x"] > 0).astype(float)),
        {"family": "binomial"},
    ),
}

REFUSED: dict[str, tuple[Callable[[], Case], str]] = {
    "levels of one 0 or 1": (
        lambda: ("y ~ x + (1 | row)", frame(y=coin()), {"family": "binomial"}),
        "single response of 0 or 1",
    ),
    "one group": (lambda: ("y ~ x + (1 | one)", frame(y=poisson()), {}), "only one level"),
    "constant, gamma": (
        lambda: ("y ~ x + (1 | g)", frame(y=2.0), {"family": "gamma", **LOG}),
        "`y` is constant",
    ),
    "constant, beta": (lambda: ("y ~ x + (1 | g)", frame(y=0.3), {"family": "beta"}), "constant"),
    "constant, student_t": (
        lambda: ("y ~ x + (1 | g)", frame(y=2.0), {"family": "student_t"}),
        "constant",
    ),
    "constant, gaussian on a log link": (
        lambda: ("y ~ x + (1 | g)", frame(y=2.0), {"family": "gaussian", **LOG}),
        "constant",
    ),
    "zeros, tweedie": (
        lambda: ("y ~ x + (1 | g)", frame(y=0.0), {"family": "tweedie"}),
        "constant",
    ),
    "zeros, hurdle": (
        lambda: ("y ~ x + (1 | g)", frame(y=0), {"family": "truncated_poisson", **ZI}),
        "nothing above the hurdle",
    ),
    "one category": (
        lambda: ("y ~ x + (1 | g)", frame(y=np.zeros(N)), {"family": "cumulative"}),
        "1 categories",
    ),
    "weights of zero": (
        lambda: (
            "y ~ x + (1 | g)",
            frame(y=GAMMA, w=coin()),
            {"family": "gamma", "weights": "w", **LOG},
        ),
        "not positive",
    ),
    "frequencies of zero": (
        lambda: ("y ~ x + (1 | g)", frame(y=poisson(), w=coin()), {"frequencies": "w"}),
        "not positive",
    ),
    "no trials": (
        lambda: ("cbind(y, n - y) ~ x + (1 | g)", frame(y=0, n=coin()), {"family": "binomial"}),
        "is zero in rows",
    ),
}


def fitted(case: Case) -> hglm.Fit:
    formula, data, options = case
    fit: hglm.Fit = hglm.fit(formula, data, **({"family": "poisson"} | options))
    return fit


@pytest.mark.parametrize("name", ANSWERED)
def test_hard_data_have_an_answer(name: str) -> None:
    fit = fitted(ANSWERED[name]())
    assert fit.converged
    assert np.isfinite(fit.llf)
    assert np.all(np.isfinite(fit.bse))
    assert fit.certificate.message in " ".join(str(fit.summary()).split())
    assert "convergence" in str(fit.check(n=8))


@pytest.mark.parametrize("name", REFUSED)
def test_data_without_an_answer_are_refused_by_name(name: str) -> None:
    case, words = REFUSED[name]
    with pytest.raises(HglmError, match=words):
        fitted(case())


def test_offsets_are_taken_off_exactly() -> None:
    """An offset that the fixed effects can make up changes them and nothing else."""
    data = frame(y=poisson())
    plain = hglm.fit("y ~ x + (1 | g)", data, "poisson")
    for shift in (-20.0, 20.0):
        moved = hglm.fit("y ~ x + (1 | g)", data, "poisson", offset=np.full(N, shift))
        assert moved.params["Intercept"] + shift == pytest.approx(plain.params["Intercept"])
        assert moved.llf == pytest.approx(plain.llf, abs=1e-6)


def test_successes_and_failures_of_1e12_mirror_each_other() -> None:
    few, many = (fitted(ANSWERED[f"probabilities of {p}"]()) for p in ("1e-12", "1 - 1e-12"))
    assert few.llf == pytest.approx(many.llf, abs=1e-6)
    assert few.params.to_numpy() == pytest.approx(-many.params.to_numpy(), abs=1e-5)
    assert few.bse.to_numpy() == pytest.approx(many.bse.to_numpy(), rel=1e-5)


def test_rare_binomial_counts_are_poisson_counts() -> None:
    """Binomial counts of 1e12 trials have Poisson's likelihood to 1e-10."""
    _, data, _ = ANSWERED["probabilities of 1e-12"]()
    rare_fit = fitted(ANSWERED["probabilities of 1e-12"]())
    counts = hglm.fit("y ~ x + (1 | g)", data, "poisson", offset=np.full(N, np.log(1e12)))
    assert rare_fit.llf == pytest.approx(counts.llf, abs=1e-3)
    assert rare_fit.params.to_numpy() == pytest.approx(counts.params.to_numpy(), abs=1e-4)


def test_constant_counts_fit_their_mean() -> None:
    """y = 2 in all rows: log L = N (2 log 2 - 2 - log 2!), the variance zero."""
    fit = fitted(ANSWERED["constant counts"]())
    assert fit.llf == pytest.approx(N * (2.0 * np.log(2.0) - 2.0 - np.log(2.0)), abs=1e-8)
    assert fit.singular
