"""Hypotheses of types I, II and III: what they mean, and that no coding changes them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from hglm.datasets import load_dataset
from hglm.design import Design, DesignSpec, build_design
from hglm.errors import DataError, OptionError
from hglm.formula import parse_formula
from hglm.inference.anova import anova_table
from hglm.inference.contrasts import reduced, term_contrasts
from hglm.inference.terms import FixedTerms, fixed_terms
from inference_oracle import fit


def unbalanced(empty: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 90
    data = pd.DataFrame(
        {
            "g": [f"g{i}" for i in rng.integers(0, 12, n)],
            "a": rng.choice(list("pqr"), n, p=[0.5, 0.3, 0.2]),
            "b": rng.choice(list("uvw"), n),
            "c": rng.choice(list("st"), n),
            "x": rng.normal(2.0, 1.0, n),
            "z": rng.normal(size=n),
        }
    )
    if empty:
        data.loc[(data["a"] == "q") & (data["b"] == "v"), "a"] = "p"
    data["y"] = (
        rng.normal(size=n)
        + 0.3 * data["x"] * (data["a"] == "r")
        + rng.normal(size=12)[data["g"].str[1:].astype(int)]
    )
    return data


def terms_of(formula: str, data: pd.DataFrame, **options: object) -> tuple[FixedTerms, Design]:
    design, spec = build_design(parse_formula(f"{formula} + (1 | g)"), data, **options)
    return fixed_terms(design.mean, spec, design.frame), design


def explained(design: Design, L: np.ndarray) -> float:
    """Sum of squares of a hypothesis in ordinary least squares."""
    X = design.mean.X
    beta, *_ = np.linalg.lstsq(X, design.y, rcond=None)
    inverse = np.linalg.inv(X.T @ X)
    return float((L @ beta) @ np.linalg.solve(L @ inverse @ L.T, L @ beta))


def residual(columns: np.ndarray, y: np.ndarray) -> float:
    fitted = columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return float(np.sum((y - fitted) ** 2))


def columns_of(design: Design, *terms: str) -> np.ndarray:
    return design.mean.X[:, [j for t in terms for j in design.mean.terms[t]]]


FORMULAS = ["y ~ a*b + x", "y ~ a*b*c", "y ~ x*a + z", "y ~ 0 + a*b", "y ~ a + a:b", "y ~ x*z"]


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
def test_type_one_is_the_sequential_sum_of_squares(formula: str, empty: bool) -> None:
    terms, design = terms_of(formula, unbalanced(empty))
    order = list(design.mean.terms)
    for name, L in term_contrasts(terms, 1).items():
        before = order[: order.index(name)]
        less = residual(columns_of(design, *before), design.y)
        more = residual(columns_of(design, *before, name), design.y)
        np.testing.assert_allclose(explained(design, L), less - more, rtol=1e-8)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("formula", FORMULAS)
def test_type_two_adjusts_for_all_terms_that_do_not_contain_it(formula: str, empty: bool) -> None:
    terms, design = terms_of(formula, unbalanced(empty))
    for name, L in term_contrasts(terms, 2).items():
        rest = [t for t in design.mean.terms if t != name and t not in terms.containing[name]]
        less = residual(columns_of(design, *rest), design.y)
        more = residual(columns_of(design, *rest, name), design.y)
        np.testing.assert_allclose(explained(design, L), less - more, rtol=1e-8)


@pytest.mark.parametrize("formula", ["y ~ a*b + x", "y ~ a*b*c", "y ~ x*a + z", "y ~ a*b*x"])
def test_type_three_drops_columns_of_sum_to_zero_coding(formula: str) -> None:
    """Where all cells have data (Yates's method of weighted squares of means)."""
    data = unbalanced()
    terms, design = terms_of(formula, data)
    sums = {"a": "sum", "b": "sum", "c": "sum"}
    coded, _ = build_design(
        parse_formula(f"{formula} + (1 | g)"),
        data,
        contrasts={k: v for k, v in sums.items() if k in formula},
    )
    for name, L in term_contrasts(terms, 3).items():
        rest = [t for t in coded.mean.terms if t != name]
        difference = residual(columns_of(coded, *rest), data["y"].to_numpy()) - residual(
            coded.mean.X, data["y"].to_numpy()
        )
        np.testing.assert_allclose(explained(design, L), difference, rtol=1e-8)


def test_type_three_of_cell_means_is_their_unweighted_comparison() -> None:
    """In a*b, the hypothesis of a is that means over the cells, equally weighted, are equal."""
    data = unbalanced()
    terms, design = terms_of("y ~ a*b", data)
    L = term_contrasts(terms, 3)["a"]
    cells = list(itertools.product("pqr", "uvw"))
    rows = []  # of the design for each cell
    for a, b in cells:
        where = np.flatnonzero((data["a"] == a) & (data["b"] == b))
        rows.append(design.mean.X[where[0]])
    means = np.array(rows).reshape(3, 3, -1).mean(axis=1)  # (level of a, p)
    expected = np.array([means[1] - means[0], means[2] - means[0]])
    np.testing.assert_allclose(reduced(L), reduced(expected), atol=1e-12)


CODINGS = ["treatment", "sum", "helmert", "poly", "sas", "diff"]


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("coding", CODINGS[1:])
def test_no_coding_changes_the_table(coding: str, empty: bool, kind: int) -> None:
    """mmrm, and lmerTest (runehaubo/lmerTestR#51), once had type III wrong for other codings."""
    data = unbalanced(empty)
    formula = "y ~ a*b + a:x + z + (1 | g)"
    tables = []
    for contrasts in ({"a": "treatment"}, {"a": coding, "b": coding}):
        estimates, design, spec = fit(formula, data, contrasts=contrasts)
        terms = fixed_terms(design.mean, spec, design.frame)
        tables += [anova_table(estimates, terms, kind)]
    # REML fits of two codings differ by rounding and by where the search stops
    pd.testing.assert_frame_equal(tables[0], tables[1], rtol=1e-6)


@pytest.mark.parametrize("ddf", ["satterthwaite", "kenward-roger", "asymptotic"])
def test_order_of_rows_terms_and_levels_changes_no_type_three_test(ddf: str) -> None:
    data = unbalanced().astype({"a": "category", "b": "category"})
    shuffled = data.sample(frac=1.0, random_state=0).reset_index(drop=True)
    turned = shuffled.assign(
        a=shuffled["a"].cat.reorder_categories(list("rpq")),
        b=shuffled["b"].cat.reorder_categories(list("wvu")),
    )
    tables = []
    for formula, frame in [
        ("y ~ x + a*b + (1 | g)", data),
        ("y ~ b*a + x + (1 | g)", turned),
    ]:
        estimates, design, spec = fit(formula, frame)
        table = anova_table(estimates, fixed_terms(design.mean, spec, design.frame), 3, ddf)
        tables.append(table.rename(index={"b:a": "a:b"}).loc[["x", "a", "b", "a:b"]])
    first, second = tables
    np.testing.assert_allclose(first["statistic"], second["statistic"], rtol=1e-6)
    if ddf == "satterthwaite":  # that of several rows depends on the reference level
        np.testing.assert_allclose(first["den_df"].iloc[0], second["den_df"].iloc[0], rtol=1e-6)
        np.testing.assert_allclose(first["den_df"], second["den_df"], rtol=2e-2)
    else:
        pd.testing.assert_frame_equal(first, second, rtol=1e-6)


def test_without_intercept_the_first_factor_is_still_compared_within_itself() -> None:
    """Type III of a in 0 + a + b: its levels are equal, whatever the reference of b."""
    data = unbalanced()
    with_, _ = terms_of("y ~ a + b", data)
    without, _ = terms_of("y ~ 0 + a + b", data)
    assert len(term_contrasts(without, 3)["a"]) == 2
    assert len(term_contrasts(without, 1)["a"]) == 3  # sequentially: that all means are zero
    estimates, design, spec = fit("y ~ a + b + (1 | g)", data)
    expected = anova_table(estimates, with_, 3)
    estimates, design, spec = fit("y ~ 0 + a + b + (1 | g)", data)
    table = anova_table(estimates, fixed_terms(design.mean, spec, design.frame), 3)
    pd.testing.assert_frame_equal(table, expected, rtol=1e-6)


def test_containment_is_that_of_sas() -> None:
    terms, _ = terms_of("y ~ a*b*x", unbalanced())
    assert terms.containing["a"] == ("a:b",)
    assert set(terms.containing["x"]) == {"a:x", "b:x", "a:b:x"}
    assert terms.containing["a:b:x"] == ()


def test_single_columns_and_models_without_terms_work() -> None:
    data = unbalanced()
    terms, _ = terms_of("y ~ 1", data)
    assert term_contrasts(terms, 3) == {}
    np.testing.assert_array_equal(term_contrasts(terms, "coefficients")["Intercept"], [[1.0]])
    terms, _ = terms_of("y ~ 0 + x", data)
    assert term_contrasts(terms, 3)["x"].shape == (1, 1)
    assert anova_table(fit("y ~ 1 + (1 | g)", data)[0], terms_of("y ~ 1", data)[0]).empty


def test_a_term_about_which_the_data_say_nothing_has_no_hypothesis() -> None:
    data = unbalanced()
    data["d"] = np.where(data["a"] == "r", "one", "two")  # a function of a
    terms, _ = terms_of("y ~ a + d + x", data)
    assert {name: len(L) for name, L in term_contrasts(terms, 1).items()} == {
        "a": 2,
        "d": 0,
        "x": 1,
    }
    estimates, design, spec = fit("y ~ a + d + x + (1 | g)", data)
    table = anova_table(estimates, fixed_terms(design.mean, spec, design.frame), 1)
    assert table.loc["d", "num_df"] == 0
    assert np.isnan(table.loc["d", "p_value"])


# lmerTest 3.1-3 on lme4 1.1-31 with a tight optimiser; models and rows as `lmertest_case`
# has them. For each type and term: numerator df, denominator df, F.
LMERTEST: dict[str, dict[int, dict[str, tuple[int, float, float]]]] = {
    "m1": {
        1: {"machine": (2, 5.02365976, 39.44906859)},
        2: {"machine": (2, 5.02365976, 39.44906859)},
        3: {"machine": (2, 5.02365976, 39.44906859)},
    },
    "m2": {
        1: {
            "variety": (2, 9.98952684, 2.30537964),
            "nitro_f": (3, 33.03716762, 31.03175829),
            "variety:nitro_f": (6, 32.67454565, 0.72256420),
        },
        2: {
            "variety": (2, 10.00920644, 2.17776684),
            "nitro_f": (3, 33.03716762, 31.03175829),
            "variety:nitro_f": (6, 32.67210231, 0.72256420),
        },
        3: {
            "variety": (2, 10.05249505, 2.17548006),
            "nitro_f": (3, 33.09561245, 31.17292836),
            "variety:nitro_f": (6, 32.67210231, 0.72256420),
        },
    },
    "m3": {
        1: {
            "variety": (2, 10.14643798, 2.17571041),
            "nitro": (1, 38.74878254, 99.89305267),
            "variety:nitro": (2, 38.70739548, 1.17422764),
        },
        2: {
            "variety": (2, 24.34011182, 2.95574422),
            "nitro": (1, 38.74878254, 99.89305267),
            "variety:nitro": (2, 38.69752729, 1.17422764),
        },
        3: {
            "variety": (2, 24.34011182, 2.95574422),
            "nitro": (1, 38.75930795, 100.42371021),
            "variety:nitro": (2, 38.69752729, 1.17422764),
        },
    },
    "m4": {
        1: {
            "variety": (2, 37.13391820, 2.30784574),
            "nitro_f": (3, 37.17489939, 23.00615597),
            "variety:nitro_f": (5, 37.35353827, 0.44914074),
        },
        3: {
            "variety": (2, 37.13667587, 2.10413792),
            "nitro_f": (3, 37.18060088, 23.12250679),
            "variety:nitro_f": (5, 37.35292885, 0.44914074),
        },
    },
}


def lmertest_case(name: str) -> tuple[str, pd.DataFrame]:
    machines, oats = load_dataset("machines"), load_dataset("oats")
    i = np.arange(len(machines))
    j = np.arange(len(oats))
    fewer = oats[j % 5 != 2].reset_index(drop=True)
    lost = (fewer["variety"] == "Victory") & (fewer["nitro_f"] == "n0.2")
    return {
        "m1": ("score ~ machine + (machine | worker)", machines[(i % 7 != 3) & (i != 10)]),
        "m2": ("yield ~ variety * nitro_f + (1 | block/variety)", fewer),
        "m3": ("yield ~ variety * nitro + (1 | block/variety)", fewer),
        "m4": ("yield ~ variety * nitro_f + (1 | block)", fewer[~lost]),
    }[name]


@pytest.mark.parametrize("name", LMERTEST)
def test_unbalanced_tables_are_those_of_lmertest(name: str) -> None:
    """Satterthwaite's df of several rows, too: the rows are those of lmerTest."""
    formula, data = lmertest_case(name)
    estimates, design, spec = fit(formula, data.reset_index(drop=True))
    terms = fixed_terms(design.mean, spec, design.frame)
    for kind, stored in LMERTEST[name].items():
        table = anova_table(estimates, terms, kind)
        expected = pd.DataFrame(stored, index=["num_df", "den_df", "statistic"]).T
        assert list(table.index) == list(expected.index)
        np.testing.assert_array_equal(table["num_df"], expected["num_df"])
        np.testing.assert_allclose(table["den_df"], expected["den_df"], rtol=1e-5)
        np.testing.assert_allclose(table["statistic"], expected["statistic"], rtol=1e-5)


def test_reduced_rows_are_the_same_for_every_basis() -> None:
    rng = np.random.default_rng(0)
    L = rng.normal(size=(3, 6))
    mixed = rng.normal(size=(5, 3)) @ L  # two rows too many
    np.testing.assert_allclose(reduced(mixed), reduced(L), atol=1e-10)
    assert reduced(np.zeros((2, 4))).shape == (0, 4)


def test_mistakes_are_named() -> None:
    data = unbalanced()
    terms, design = terms_of("y ~ a", data)
    with pytest.raises(OptionError, match="no tests of type 4; give 1, 2, 3"):
        term_contrasts(terms, 4)  # type: ignore[arg-type]
    spec: DesignSpec
    design, spec = build_design(parse_formula("y ~ a + (1 | g)"), data)
    with pytest.raises(DataError, match="factors in the 90 rows of the fit, and the data have 5"):
        fixed_terms(design.mean, spec, data.head())


def test_without_factors_the_data_are_not_needed() -> None:
    design, spec = build_design(parse_formula("y ~ x*z + (1 | g)"), unbalanced())
    terms = fixed_terms(design.mean, spec, pd.DataFrame())
    np.testing.assert_allclose(term_contrasts(terms, 3)["x"], [[0.0, 1.0, 0.0, 0.0]], atol=1e-12)


def test_codings_written_in_the_formula_change_nothing_either() -> None:
    data = unbalanced(empty=True)
    expected = anova_of("y ~ a*b + x + (1 | g)", data)
    coded = anova_of("y ~ C(a, contr.sum)*C(b, contr.helmert) + x + (1 | g)", data)
    pd.testing.assert_frame_equal(coded.set_axis(expected.index), expected, rtol=1e-6)


def anova_of(formula: str, data: pd.DataFrame) -> pd.DataFrame:
    estimates, design, spec = fit(formula, data)
    return anova_table(estimates, fixed_terms(design.mean, spec, design.frame), 3)
