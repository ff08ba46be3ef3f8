"""The benchmark catalogues: linear mixed models (LMMS) and generalised ones (GLMMS).

Names say the structure and the number of rows. Sizes and targets follow the published figures
of the programs they are run beside; the data are simulated from fixed seeds or shipped.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import simulate
from catalogue import AtMost, DataMaker, Term, Times, Workload
from scipy.special import expit, ndtr
from simulate import Grouping, Response, mixed_frame

from hglm.datasets import load_dataset

UNIT_NOISE = simulate.gaussian(1.0)


def shipped(name: str, _rng: np.random.Generator) -> pd.DataFrame:
    """Return a data set shipped with hglm."""
    return load_dataset(name)


def simulated(n_rows: int, response: Response = UNIT_NOISE, **groupings: Grouping) -> DataMaker:
    """Return the maker of a frame with one predictor x and the given factors."""
    return partial(mixed_frame, n_rows=n_rows, groupings=groupings, response=response)


SLOPE = ("x",)
SIX = ("x1", "x2", "x3", "x4", "x5")
INSTEVAL_TARGETS = (Times(8, "lme4"), Times(5, "mixedlm"))

LMMS = (
    Workload(
        name="null",
        structure="one factor of 30 levels, 60 rows: the fixed cost of a fit",
        response="strength",
        fixed="1",
        terms=(Term("sample"),),
        data=partial(shipped, "pastes"),
    ),
    Workload(
        name="sleepstudy",
        structure="one factor of 18 levels, correlated slope, 180 rows",
        response="reaction",
        fixed="days",
        terms=(Term("subject", ("days",)),),
        data=partial(shipped, "sleepstudy"),
        targets=(AtMost(0.010), Times(4, "lme4")),
    ),
    Workload(
        name="slope_1e5",
        structure="one factor of 10,000 levels, correlated slope, 100,000 rows",
        response="y",
        fixed="x",
        terms=(Term("g", SLOPE),),
        data=simulated(100_000, g=Grouping(10_000, (1.0, 0.5))),
        targets=(Times(40, "lme4"), Times(1, "mixedlm-rs")),
    ),
    Workload(
        name="nested_1e5",
        structure="10,000 levels with correlated slope nested in 500, 100,000 rows",
        response="y",
        fixed="x",
        terms=(Term("g", SLOPE), Term("s")),
        data=simulated(100_000, g=Grouping(10_000, (1.0, 0.5)), s=Grouping(500, holds="g")),
        targets=(Times(30, "lme4"), Times(2, "mixedlm")),
    ),
    Workload(
        name="insteval_scalar",
        structure="InstEval, three partially crossed scalar terms (2972, 1128, 14), 73,421 rows",
        response="y",
        fixed="1",
        terms=(Term("s"), Term("d"), Term("dept")),
        data=partial(shipped, "insteval"),
        targets=INSTEVAL_TARGETS,
    ),
    Workload(
        name="insteval_fixed",
        structure="InstEval, two partially crossed scalar terms, 28 fixed effects",
        response="y",
        fixed="service * dept",
        terms=(Term("s"), Term("d")),
        data=partial(shipped, "insteval"),
        targets=INSTEVAL_TARGETS,
    ),
    Workload(
        name="slope_1e6",
        structure="one factor of 100,000 levels, correlated slope, 1,000,000 rows",
        response="y",
        fixed="x",
        terms=(Term("g", SLOPE),),
        data=simulated(1_000_000, g=Grouping(100_000, (1.0, 0.5))),
        targets=(
            AtMost(0.5),
            Times(5, "lme4", "peak_mb"),
            Times(1 / 12, "hglm", workload="slope_1e5"),
        ),
    ),
    Workload(
        name="crossed_1e6",
        structure="two crossed scalar terms, 50,000 x 5,000 levels, 1,000,000 rows",
        response="y",
        fixed="x",
        terms=(Term("a"), Term("b")),
        data=simulated(1_000_000, a=Grouping(50_000), b=Grouping(5_000, (0.7,))),
        targets=(
            Times(14, "lme4"),
            Times(4, "mixedlm"),
            Times(1, "lme4", "peak_mb"),
            Times(1, "mixedlm", "peak_mb"),
        ),
    ),
    Workload(
        name="crossed3_2e5",
        structure="three crossed scalar terms, 5,000 x 1,000 x 500 levels, 200,000 rows",
        response="y",
        fixed="x",
        terms=(Term("a"), Term("b"), Term("c")),
        data=simulated(
            200_000, a=Grouping(5_000), b=Grouping(1_000, (0.7,)), c=Grouping(500, (0.5,))
        ),
        targets=(Times(12, "lme4"),),
    ),
    Workload(
        name="slopes6_2e5",
        structure="20,000 levels, six correlated columns (21 covariance parameters), 200,000 rows",
        response="y",
        fixed=" + ".join(SIX),
        terms=(Term("g", SIX),),
        data=partial(
            mixed_frame,
            n_rows=200_000,
            groupings={"g": Grouping(20_000, (1.0, 0.9, 0.8, 0.7, 0.6, 0.5))},
            predictors=SIX,
            beta=(1.0, 0.5, -0.5, 0.3, -0.3, 0.0),
            response=UNIT_NOISE,
        ),
        targets=(AtMost(1.2),),
    ),
)


def glmm(
    name: str,
    structure: str,
    data: DataMaker,
    formula: tuple[str, str],
    *terms: Term,
    **family: str,
) -> Workload:
    """Return a generalised workload fitted by the Laplace approximation."""
    response, fixed = formula
    return Workload(name, structure, response, fixed, terms, data, method="laplace", **family)


def clustered(response: Response) -> DataMaker:
    """Return the maker of 200 groups of about 20 rows with a random intercept."""
    return partial(
        mixed_frame,
        n_rows=4_000,
        groupings={"g": Grouping(200, (0.7,))},
        beta=(0.5, 0.4),
        response=response,
    )


BERNOULLI = {"family": "binomial", "link": "logit"}
POISSON = {"family": "poisson", "link": "log"}
NB2 = {"family": "nbinom2", "link": "log"}
SALAMANDERS = ("count", "spp + mined")
CLUSTERED = "200 groups of about 20 rows"
LOGIT = simulate.bernoulli(expit)

SHIPPED_GLMMS = (
    glmm(
        "cbpp", "15 herds, 56 rows, binomial with trials", partial(shipped, "cbpp"),
        ("cbind(incidence, size - incidence)", "period"), Term("herd"), **BERNOULLI,
    ),
    glmm(
        "verbagg", "316 persons x 24 items, 7,584 rows", partial(shipped, "verbagg"),
        ("r2", "anger + gender + btype + situ"), Term("id"), Term("item"), **BERNOULLI,
    ),
    glmm(
        "contraception", "60 districts, correlated slope, 1,934 rows",
        partial(shipped, "contraception"),
        ("use", "age + I(age**2) + urban + livch"), Term("district", ("urban",)), **BERNOULLI,
    ),
    glmm(
        "grouseticks", "403 rows, one level a row nested in 118 in 63",
        partial(shipped, "grouseticks"),
        ("ticks", "year + cheight100"), Term("brood"), Term("index"), Term("location"), **POISSON,
    ),
    glmm(
        "salamanders_poisson", "23 sites, 644 rows", partial(shipped, "salamanders"),
        SALAMANDERS, Term("site"), **POISSON,
    ),
    glmm(
        "salamanders_nb2", "23 sites, 644 rows", partial(shipped, "salamanders"),
        SALAMANDERS, Term("site"), **NB2,
    ),
    glmm(
        "salamanders_zip", "23 sites, 644 rows, zero inflation", partial(shipped, "salamanders"),
        SALAMANDERS, Term("site"), zero_inflation="~ mined", **POISSON,
    ),
    glmm(
        "salamanders_zinb2", "23 sites, 644 rows, zero inflation", partial(shipped, "salamanders"),
        SALAMANDERS, Term("site"), zero_inflation="~ mined", **NB2,
    ),
)  # fmt: skip

LARGE_GLMMS = (
    glmm(
        "bernoulli_slope_1e5", "5,000 groups, correlated slope, 100,000 rows",
        simulated(100_000, LOGIT, g=Grouping(5_000, (1.0, 0.7))),
        ("y", "x"), Term("g", SLOPE), **BERNOULLI,
    ),
    glmm(
        "bernoulli_crossed_1e5", "5,000 x 500 levels, 100,000 rows",
        simulated(100_000, LOGIT, a=Grouping(5_000), b=Grouping(500, (0.7,))),
        ("y", "x"), Term("a"), Term("b"), **BERNOULLI,
    ),
    glmm(
        "bernoulli_nested_1e5", "5,000 levels nested in 250, 100,000 rows",
        simulated(100_000, LOGIT, g=Grouping(5_000), s=Grouping(250, (0.7,), holds="g")),
        ("y", "x"), Term("g"), Term("s"), **BERNOULLI,
    ),
    glmm(
        "poisson_1e6", "50,000 groups, 1,000,000 rows",
        partial(
            mixed_frame, n_rows=1_000_000, groupings={"g": Grouping(50_000, (0.5,))},
            beta=(0.0, 0.3), response=simulate.poisson,
        ),
        ("y", "x"), Term("g"), **POISSON,
    ),
)  # fmt: skip

CLUSTERED_GLMMS = tuple(
    glmm(f"clustered_{name}", CLUSTERED, clustered(response), ("y", "x"), Term("g"), **family)
    for name, response, family in (
        ("logit", LOGIT, BERNOULLI),
        ("probit", simulate.bernoulli(ndtr), {"family": "binomial", "link": "probit"}),
        (
            "cloglog",
            simulate.bernoulli(lambda eta: -np.expm1(-np.exp(eta))),
            {"family": "binomial", "link": "cloglog"},
        ),
        ("gamma", simulate.gamma(2.5), {"family": "gamma", "link": "log"}),
        ("gaussian_log", simulate.gaussian_log(0.5), {"family": "gaussian", "link": "log"}),
        ("beta", simulate.beta(8.0), {"family": "beta", "link": "logit"}),
        ("nb2", simulate.negative_binomial_2(2.0), NB2),
        ("nb1", simulate.negative_binomial_1(1.5), {"family": "nbinom1", "link": "log"}),
        (
            "zip",
            simulate.zero_inflated(simulate.poisson, 0.25),
            POISSON | {"zero_inflation": "~ 1"},
        ),
        (
            "zinb2",
            simulate.zero_inflated(simulate.negative_binomial_2(2.0), 0.25),
            NB2 | {"zero_inflation": "~ 1"},
        ),
    )
)

GLMMS = SHIPPED_GLMMS + LARGE_GLMMS + CLUSTERED_GLMMS
CATALOGUE = {workload.name: workload for workload in LMMS + GLMMS}
