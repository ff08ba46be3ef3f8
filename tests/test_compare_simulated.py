"""`hglm.compare` by simulation: p-values that are known, and what the notes tell."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hglm
from hglm.errors import FitError, OptionError
from hglm.inference import bootstrap_lrt
from hglm.inference.nesting import added_variance


@cache
def one_way(q: int = 8, r: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(q), r)
    y = rng.normal(0.0, 0.5, q)[g] + rng.normal(size=q * r)
    return pd.DataFrame({"g": g, "y": y, "x": rng.normal(size=q * r)})


@cache
def pair(method: str = "reml") -> tuple[hglm.Fit, hglm.Fit]:
    return (
        hglm.fit("y ~ 1", one_way(), method=method),
        hglm.fit("y ~ 1 + (1 | g)", one_way(), method=method),
    )


def f_test() -> float:
    """P-value of the F test of groups: the statistic rises with F, so it is theirs too."""
    y = one_way()["y"].to_numpy().reshape(8, 4)
    F = 4 * y.mean(axis=1).var(ddof=1) / y.var(axis=1, ddof=1).mean()
    return float(stats.f.sf(F, 7, 24))


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(("kind", "n"), [("bootstrap", 1000), ("exact", 20_000)])
def test_p_values_of_a_variance_are_those_of_the_f_test(method: str, kind: str, n: int) -> None:
    table = hglm.compare(*pair(method), method=kind, n=n, seed=1)  # type: ignore[arg-type]
    exact = f_test()
    found = table[f"p_value_{kind}"].to_numpy()
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(exact, abs=3.5 * np.sqrt(exact * (1 - exact) / n))
    assert table["p_value_boundary"].iloc[1] != pytest.approx(exact, rel=0.05)  # few groups


def test_boundary_p_values_of_few_groups_come_with_advice() -> None:
    notes = hglm.compare(*pair("ml"), names=["a", "b"]).attrs["notes"]
    assert len(notes) == 1
    assert notes[0].startswith(
        "b: p_value_boundary is that of many groups, and there are 8; method"
    )
    assert 'method="exact" simulates' in notes[0]
    slopes = np.repeat([0.5, -0.8, 0.9, 0.0, -0.5, 0.7, -0.6, 0.2], 4)
    frame = one_way().assign(y=lambda d: d["y"] + slopes * d["x"])
    table = hglm.compare(*(hglm.fit(f"y ~ x + ({bar} | g)", frame) for bar in ("1", "x")))
    assert 0.001 < table["p_value_boundary"].iloc[1] < 0.2
    assert 'method="bootstrap"' in table.attrs["notes"][-1]
    many = [hglm.fit(f, one_way(40, 3), method="ml") for f in ("y ~ 1", "y ~ 1 + (1 | g)")]
    assert hglm.compare(*many).attrs["notes"] == []


def test_p_values_come_from_ranks_and_seeds() -> None:
    """p = (1 + #{T* ≥ T})/(n + 1): with n = 19 a multiple of 1/20, and never 0."""
    tables = [hglm.compare(*pair(), method="bootstrap", n=19, seed=seed) for seed in (1, 1, 2)]
    p = [table["p_value_bootstrap"].iloc[1] for table in tables]
    assert p[0] == p[1]
    np.testing.assert_allclose(np.multiply(p, 20), np.round(np.multiply(p, 20)), atol=1e-9)
    sleep = hglm.load_dataset("sleepstudy")
    small = hglm.fit("reaction ~ days + (1 | subject)", sleep)
    large = hglm.fit("reaction ~ days + (days | subject)", sleep)
    table = hglm.compare(large, small, method="bootstrap", n=99, seed=1)
    assert table["p_value_bootstrap"].iloc[1] == 0.01
    assert "99 simulations of reaction ~ days + (1 | subject)" in table.attrs["notes"][-1]
    assert "between 0 and 0.037 (95%)" in table.attrs["notes"][-1]  # Wilson's, for 0 of 99


def test_generalised_models_and_fixed_effects_are_tested_too() -> None:
    """Kenward and Roger's test is all but exact here: a covariate that varies within groups."""
    n = 400
    small, large = (hglm.fit(f"y ~ {x} + (1 | g)", one_way(), method="ml") for x in ("1", "1 + x"))
    table = hglm.compare(small, large, method="bootstrap", n=n, seed=1)
    kr = hglm.fit("y ~ x + (1 | g)", one_way()).anova(ddf="kenward-roger")["p_value"].iloc[0]
    assert table["p_value_bootstrap"].iloc[1] == pytest.approx(
        kr, abs=3.5 * np.sqrt(kr * (1 - kr) / n)
    )
    cbpp = hglm.load_dataset("cbpp")
    response = "cbind(incidence, size - incidence)"
    fits = [
        hglm.fit(f"{response} ~ {x}", cbpp, "binomial") for x in ("period", "period + (1 | herd)")
    ]
    table = hglm.compare(*fits, method="bootstrap", n=99, seed=1)
    assert table["p_value_bootstrap"].iloc[1] == 0.01


def test_every_model_is_compared_with_the_one_above() -> None:
    sleep = hglm.load_dataset("sleepstudy")
    fits = [
        hglm.fit(f"reaction ~ days + {bar}", sleep)
        for bar in ("(1 | subject)", "(days || subject)", "(days | subject)")
    ]
    names = ["a", "b", "c"]
    table = hglm.compare(*fits, names=names, method="bootstrap", n=199, seed=1)
    assert table["p_value_bootstrap"].iloc[1] == 0.005
    # a correlation inside its range: chi-square holds
    chi_square = table["p_value"].iloc[2]
    noise = 3.5 * np.sqrt(chi_square * (1 - chi_square) / 199)
    assert table["p_value_bootstrap"].iloc[2] == pytest.approx(chi_square, abs=noise)
    exact = hglm.compare(*fits, names=names, method="exact", seed=1)
    assert exact["p_value_exact"].iloc[1] == pytest.approx(1 / 10_001)
    assert np.isnan(exact["p_value_exact"].iloc[2])
    assert "null distribution of sd(days | subject), approximate" in exact.attrs["notes"][1]
    assert exact.attrs["notes"][2].startswith("c is not the linear mixed model b with one variance")


def test_models_without_common_ground_get_no_p_value() -> None:
    sleep = hglm.load_dataset("sleepstudy").assign(z=np.tile([0.0, 1.0], 90))
    days, z = (
        hglm.fit(f"reaction ~ {x}", sleep, method="ml") for x in ("days + (1 | subject)", "z")
    )
    table = hglm.compare(z, days, names=["z", "days"], method="bootstrap", n=9)
    assert np.isnan(table["p_value_bootstrap"]).all()
    assert len(table.attrs["notes"]) == 1
    assert "not contained in that of days" in table.attrs["notes"][0]
    again = hglm.compare(days, days, names=["a", "b"], method="bootstrap", n=9)
    assert again.attrs["notes"] == ["a and b have equally many parameters: no test."]
    refitted = hglm.compare(
        hglm.fit("reaction ~ 1 + (1 | subject)", sleep),
        hglm.fit("reaction ~ days + (1 | subject)", sleep),
        refit=True,
        method="bootstrap",
        n=19,
        seed=1,
    )
    assert refitted["p_value_bootstrap"].iloc[1] == 0.05


def test_simulations_that_fail_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def lossy(*args: object) -> object:
        for part in RUN(*args):  # type: ignore[arg-type]
            t = part.statistics.copy()
            t[:3] = np.nan
            yield type(part)(t, {0: "no", 1: "no", 2: "never"})

    RUN = bootstrap_lrt.run_replicates
    monkeypatch.setattr(bootstrap_lrt, "run_replicates", lossy)
    table = hglm.compare(*pair(), names=["a", "b"], method="bootstrap", n=22, seed=1)
    p = table["p_value_bootstrap"].iloc[1]
    assert 20 * p == pytest.approx(round(20 * p))  # of the 19 that are left
    note = table.attrs["notes"][-1]
    assert note.startswith("b: 19 simulations of a; ")
    assert note.endswith("could not be fitted or did not converge: 3. Most often: no")
    with pytest.raises(FitError, match="None of the 3 simulations could be fitted by both"):
        hglm.compare(*pair(), method="bootstrap", n=3, seed=1)


def test_added_variances_are_named() -> None:
    frame = one_way()

    def random_part(bars: str) -> hglm.Fit:
        return hglm.fit(f"y ~ x + {bars}", frame)

    small = random_part("(1 | g)").design.mean
    for bars, name in [
        ("(x || g)", "sd(x | g)"),
        ("diag(x | g)", "sd(x | g)"),
        ("(x | g)", None),  # brings a covariance
        ("(1 | g)", None),
    ]:
        assert added_variance(small, random_part(bars).design.mean) == name
    none = hglm.fit("y ~ x", frame).design.mean
    assert added_variance(none, small) == "sd(Intercept | g)"


def test_mistakes_are_explained() -> None:
    with pytest.raises(OptionError, match=r"no method 'boot'; choose one of 'chi-square', 'boot"):
        hglm.compare(*pair(), method="boot")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"n=2.5 is no whole number"):
        hglm.compare(*pair(), method="bootstrap", n=2.5)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"n=0 is no whole number"):
        hglm.compare(*pair(), method="bootstrap", n=0)
