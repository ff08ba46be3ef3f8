"""The linear workloads: from the fixed cost of a fit to a million rows."""

from __future__ import annotations

from functools import partial

from catalogue import AtMost, Term, Times, Workload
from makers import UNIT_NOISE, shipped, simulated
from simulate import Grouping, mixed_frame

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
        data=shipped("pastes"),
    ),
    Workload(
        name="sleepstudy",
        structure="one factor of 18 levels, correlated slope, 180 rows",
        response="reaction",
        fixed="days",
        terms=(Term("subject", ("days",)),),
        data=shipped("sleepstudy"),
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
        data=shipped("insteval"),
        targets=INSTEVAL_TARGETS,
    ),
    Workload(
        name="insteval_fixed",
        structure="InstEval, two partially crossed scalar terms, 28 fixed effects",
        response="y",
        fixed="service * dept",
        terms=(Term("s"), Term("d")),
        data=shipped("insteval"),
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
            Times(5, "lme4", "added_mb"),
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
