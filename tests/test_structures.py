"""Structured covariances in whole models: published programs, dense formulas, exact truths.

Data and R script of the reference values: `tests/reference/structures`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, sparse, special

import hglm
from hglm.criteria.laplace import evaluate_laplace
from hglm.criteria.linear_problem import linear_problem
from hglm.criteria.profiled import solve
from hglm.fitting.record import GeneralisedState
from hglm.result import Fit
from hglm.typing import Matrix, Vector

FOLDER = Path(__file__).parent / "reference" / "structures"


@pytest.fixture(scope="module")
def sleep() -> pd.DataFrame:
    """18 subjects on the same 10 days, as numbers and as categories."""
    data = hglm.load_dataset("sleepstudy")
    return data.assign(day=pd.Categorical(data["days"]))


@pytest.fixture(scope="module")
def points() -> pd.DataFrame:
    """Six fields of 25 points in a plane."""
    return pd.read_csv(FOLDER / "points.csv")


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    """25 groups counted on the same 8 days."""
    data = pd.read_csv(FOLDER / "counts.csv")
    return data.assign(occasion=pd.Categorical(data["day"]))


def parameters(fit: Fit) -> dict[str, float]:
    """Read the reported parameters of a homogeneous structure: sd, then rho, range, ..."""
    rows = fit.varcorr[fit.varcorr["group"] != "Residual"]
    names = ["sd", *rows["term2"].iloc[1:]]
    return dict(zip(names, rows["sdcor"], strict=True))


NLME = {
    ("exp", "ml"): (-871.530932787, 253.8480465, 10.4488552, 48.5339757, 7.7477091, 0.098454961),
    ("exp", "reml"): (-867.093233971, 253.9074359, 10.4488554, 49.6996153, 8.0733183, 0.0926824478),
    ("gau", "ml"): (-874.415156795, 254.5240977, 10.3901378, 47.7212712, 5.6016401, 0.214583572),
    ("gau", "reml"): (-869.968096406, 254.6240020, 10.3883317, 48.7805957, 5.692, 0.205656747),
}
"""nlme 3.1-162, `gls` with `corExp` or `corGaus` and a nugget: log likelihood, coefficients,
total standard deviation, range, share of the residual in the variance."""


@pytest.mark.parametrize(("name", "method"), NLME)
def test_kernels_with_a_residual_are_those_of_nlme(
    sleep: pd.DataFrame, name: str, method: str
) -> None:
    llf, *beta, total, reach, nugget = NLME[name, method]
    fit = hglm.fit(f"reaction ~ days + {name}(0 + days | subject)", sleep, method=method)
    found = parameters(fit)
    assert fit.converged
    assert fit.llf == pytest.approx(llf, abs=2e-9)
    np.testing.assert_allclose(fit.params, beta, rtol=1e-6)
    assert np.hypot(found["sd"], fit.sigma) == pytest.approx(total, rel=1e-5)
    assert found["range"] == pytest.approx(reach, rel=1e-5)
    assert fit.sigma**2 / (found["sd"] ** 2 + fit.sigma**2) == pytest.approx(nugget, rel=1e-4)


def test_autoregression_without_a_residual_is_that_of_nlme(sleep: pd.DataFrame) -> None:
    """nlme 3.1-162, `gls(reaction ~ days, correlation = corAR1(form = ~ days | subject))`.

    What is left of the residual costs up to 1e-8 an observation (`hglm.design.no_residual`).
    """
    fit = hglm.fit("reaction ~ days + ar1(0 + day | subject)", sleep, dispersion="~ 0")
    assert fit.llf == pytest.approx(-874.056908588, abs=1e-6)
    assert parameters(fit)["rho"] == pytest.approx(0.791661733, rel=1e-6)


@pytest.mark.parametrize("name", ["ou", "exp"])
def test_autoregression_at_equal_steps_is_an_exponential_kernel(
    sleep: pd.DataFrame, name: str
) -> None:
    ar1 = hglm.fit("reaction ~ days + ar1(0 + day | subject)", sleep)
    other = hglm.fit(f"reaction ~ days + {name}(0 + days | subject)", sleep)
    assert other.llf == pytest.approx(ar1.llf, abs=1e-9)
    rho, found = parameters(ar1)["rho"], parameters(other)
    decay = found["decay"] if name == "ou" else 1.0 / found["range"]
    assert np.exp(-decay) == pytest.approx(rho, rel=1e-5)


def test_occasions_left_out_keep_their_distance(sleep: pd.DataFrame) -> None:
    """Numbered occasions with gaps: ρ to the power of the number of steps."""
    some = sleep[~sleep["days"].isin([3, 4, 7])]
    ar1 = hglm.fit("reaction ~ days + ar1(0 + days | subject)", some)
    ou = hglm.fit("reaction ~ days + ou(0 + days | subject)", some)
    assert ar1.llf == pytest.approx(ou.llf, abs=1e-9)
    assert np.exp(-parameters(ou)["decay"]) == pytest.approx(parameters(ar1)["rho"], rel=1e-5)


def test_matern_of_a_plane_is_that_of_glmmtmb(points: pd.DataFrame) -> None:
    """glmmTMB 1.1.5, `z ~ x + mat(0 + pos | g)`; its gradient leaves 1e-6 of the coefficients."""
    fit = hglm.fit("z ~ x + matern(0 + x + y | g)", points, method="ml")
    assert fit.llf == pytest.approx(-225.791311193513, abs=1e-7)
    np.testing.assert_allclose(fit.params, [2.17814353038708, 0.291761186842114], rtol=1e-5)
    assert parameters(fit)["sd"] == pytest.approx(1.28261257480047, rel=1e-4)
    assert fit.sigma == pytest.approx(0.518381553218587, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "llf", "beta"),
    [
        ("exp", -227.106735085, (2.142017986, 0.297996052)),
        ("gau", -226.096884745, (2.195751408, 0.288925977)),
    ],
)
def test_kernels_of_a_plane_are_those_of_nlme(
    points: pd.DataFrame, name: str, llf: float, beta: tuple[float, float]
) -> None:
    fit = hglm.fit(f"z ~ x + {name}(0 + x + y | g)", points, method="ml")
    assert fit.llf == pytest.approx(llf, abs=2e-9)
    np.testing.assert_allclose(fit.params, beta, rtol=2e-6)


@pytest.mark.parametrize(
    ("term", "llf", "beta", "se", "sd"),
    [
        (
            "ar1(0 + occasion | g)",
            -477.743669918026,
            (0.649438916514589, 0.120888366097542),
            (0.206096034161632, 0.0396151800853849),
            0.916207958331453,
        ),
        (
            "ou(0 + day | g)",
            -477.743669917741,
            (0.649438957484589, 0.120888356847193),
            (0.206096026118422, 0.0396151811719264),
            0.916207939175716,
        ),
        (
            "cs(0 + occasion | g)",
            -485.412634692541,
            (0.489090907444797, 0.14950417113644),
            (0.199008220741835, 0.0306589181879664),
            1.14635398778561,
        ),
    ],
)
def test_structured_counts_are_those_of_glmmtmb(
    counts: pd.DataFrame,
    term: str,
    llf: float,
    beta: tuple[float, float],
    se: tuple[float, float],
    sd: float,
) -> None:
    """glmmTMB 1.1.5, Poisson: the same Laplace approximation."""
    fit = hglm.fit(f"n ~ day + {term}", counts, family="poisson")
    assert fit.llf == pytest.approx(llf, abs=1e-8)
    np.testing.assert_allclose(fit.params, beta, atol=1e-4 * se[0])
    np.testing.assert_allclose(fit.bse, se, rtol=1e-4)
    assert fit.varcorr["sdcor"].iloc[0] == pytest.approx(sd, rel=1e-4)


# By textbook formulas ---------------------------------------------------------------------


def deviance(V: Matrix, X: Matrix, Y: Matrix, reml: bool) -> float:
    """-2 log (restricted) likelihood of rows Y (q, k) ~ N(Xβ, V), β at its best."""
    q, k = Y.shape
    precision = np.linalg.inv(V)
    information = q * X.T @ precision @ X
    beta = np.linalg.solve(information, X.T @ precision @ Y.sum(axis=0))
    r = Y - X @ beta
    out = q * (np.linalg.slogdet(V)[1] + k * np.log(2.0 * np.pi))
    out += np.einsum("ij,jk,ik", r, precision, r)
    if reml:
        out += np.linalg.slogdet(information)[1] - X.shape[1] * np.log(2.0 * np.pi)
    return float(out)


def lagged(rho: Vector) -> Matrix:
    k = len(rho) + 1
    return np.append(1.0, rho)[np.abs(np.subtract.outer(np.arange(k), np.arange(k)))]


def equal(x: Vector, k: int) -> Matrix:
    low = -1.0 / (k - 1)
    R = np.full((k, k), low + (1.0 - low) * special.expit(x[0]))
    np.fill_diagonal(R, 1.0)
    return R


def autoregressive(x: Vector, k: int) -> Matrix:
    return lagged(np.tanh(x[0]) ** np.arange(1, k))


def from_partial(x: Vector, k: int) -> Matrix:
    """Stationary correlations from partial ones (Durbin 1960), so that all are positive."""
    rho, phi = np.zeros(k - 1), np.zeros(0)
    for m, partial in enumerate(np.tanh(x)):
        rest = 1.0 - phi @ rho[:m]
        rho[m] = partial * rest + phi @ rho[:m][::-1]
        phi = np.append(phi - partial * phi[::-1], partial)
    return lagged(rho)


FORMULAS: dict[str, tuple[Callable[[Vector, int], Matrix], int, bool]] = {
    "cs": (equal, 1, False),
    "ar1": (autoregressive, 1, True),
    "hetar1": (autoregressive, 1, False),
    "homtoep": (from_partial, 9, True),
}
"""Correlations of parameters on the whole line, their number, one variance or ten."""


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("name", FORMULAS)
def test_structures_are_at_the_optimum_of_their_formula(
    sleep: pd.DataFrame, name: str, reml: bool
) -> None:
    """A minimiser without derivatives of ours, from several starts, finds nothing better.

    Ten variances beside the residual's make for flat valleys: heterogeneous compound symmetry
    has an indefinite average information at its optimum.
    """
    correlations, m, homogeneous = FORMULAS[name]
    Y = sleep.sort_values(["subject", "days"])["reaction"].to_numpy().reshape(18, 10)
    X = np.column_stack([np.ones(10), np.arange(10.0)])

    def objective(x: Vector) -> float:
        sd = np.exp(np.clip(x[1 : 2 if homogeneous else 11], -10.0, 10.0))
        D = np.full(10, sd[0]) if homogeneous else sd
        R = correlations(np.clip(x[-m:], -9.0, 9.0), 10)
        V = D[:, None] * R * D + np.exp(2.0 * np.clip(x[0], -10.0, 10.0)) * np.eye(10)
        return deviance(V, X, Y, reml)

    rng = np.random.default_rng(4)
    n_sd = 1 if homogeneous else 10
    best = min(
        optimize.minimize(
            objective,
            np.concatenate([[3.0], rng.uniform(3.0, 4.0, n_sd), rng.uniform(0.2, 1.0, m)]),
            method="L-BFGS-B",
            options={"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7, "maxfun": 40_000},
        ).fun
        for _ in range(3)
    )
    fit = hglm.fit(
        f"reaction ~ days + {name}(0 + day | subject)", sleep, method="reml" if reml else "ml"
    )
    assert fit.converged
    assert -2.0 * fit.llf <= best + 1e-6
    assert deviance(reported(fit), X, Y, reml) == pytest.approx(-2.0 * fit.llf, abs=1e-6)


def reported(fit: Fit) -> Matrix:
    """Covariance of a subject's ten days, from the table of variance components."""
    rows = fit.varcorr[fit.varcorr["group"] != "Residual"]
    if rows["term1"].nunique() > 1:
        place = {f"day[{i}]": i for i in range(10)}
        one = rows["term1"].map(place)
        other = rows["term2"].map(place).fillna(one).astype(int)
        V = np.zeros((10, 10))
        V[one, other] = V[other, one] = rows["vcov"]
    else:
        rho = rows["sdcor"].to_numpy()[1:]
        V = rows["vcov"].iloc[0] * lagged(rho if len(rho) > 1 else rho ** np.arange(1, 10))
    return V + fit.sigma**2 * np.eye(10)


@pytest.mark.parametrize("name", ["exp", "gau", "matern"])
def test_reported_parameters_give_the_reported_likelihood(points: pd.DataFrame, name: str) -> None:
    fit = hglm.fit(f"z ~ x + {name}(0 + x + y | g)", points, method="ml")
    found = parameters(fit)
    V = np.zeros((len(points), len(points)))
    for rows in points.groupby("g").indices.values():
        at = points[["x", "y"]].to_numpy()[rows]
        d = np.sqrt(((at[:, None] - at[None]) ** 2).sum(axis=2)) / found["range"]
        V[np.ix_(rows, rows)] = found["sd"] ** 2 * kernel(name, d, found)
    V[np.diag_indices_from(V)] += fit.sigma**2
    X = np.column_stack([np.ones(len(points)), points["x"]])
    expected = deviance(V, X, points["z"].to_numpy()[None], reml=False)
    assert -2.0 * fit.llf == pytest.approx(expected, abs=1e-7)


def kernel(name: str, d: Matrix, found: dict[str, float]) -> Matrix:
    """Correlations at distances in units of the range (Rasmussen & Williams 2006, ch. 4)."""
    if name == "exp":
        return np.exp(-d)
    if name == "gau":
        return np.exp(-(d**2))
    nu = found["smoothness"]
    safe = np.where(d > 0.0, d, 1.0)
    r = 2.0 ** (1.0 - nu) / special.gamma(nu) * safe**nu * special.kv(nu, safe)
    return np.where(d > 0.0, r, 1.0)


def test_predictions_at_new_places_are_kriging(points: pd.DataFrame) -> None:
    """Best linear unbiased prediction by dense algebra.

    Cressie (1993), Statistics for Spatial Data, eq. 3.4.2.
    """
    fit = hglm.fit("z ~ x + exp(0 + x + y | g)", points)
    found = parameters(fit)
    field = points[points["g"] == "g2"]
    old = field[["x", "y"]].to_numpy()
    new = np.array([[1.5, 2.5], [7.0, 0.5], [20.0, 20.0], old[3]])

    def covariance(a: Matrix, b: Matrix) -> Matrix:
        d = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2))
        return np.asarray(found["sd"] ** 2 * np.exp(-d / found["range"]))

    V = covariance(old, old) + fit.sigma**2 * np.eye(len(old))
    left = field["z"].to_numpy() - fit.params.to_numpy() @ [np.ones(len(old)), old[:, 0]]
    expected = fit.params.to_numpy() @ [np.ones(4), new[:, 0]]
    expected += covariance(new, old) @ np.linalg.solve(V, left)
    frame = pd.DataFrame({"x": new[:, 0], "y": new[:, 1], "g": "g2"})
    np.testing.assert_allclose(np.asarray(fit.predict(frame)), expected, rtol=1e-7)


# Known relationships ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def animals() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"id": np.repeat([f"a{i:02d}" for i in range(20)], 3)})
    data["x"] = rng.normal(size=60)
    effects = np.linalg.cholesky(relationship()) @ rng.normal(size=20)
    data["y"] = 1.0 + data["x"] + np.repeat(effects, 3) + 0.5 * rng.normal(size=60)
    data["n"] = rng.poisson(np.exp(0.3 + 0.5 * np.repeat(effects, 3)))
    return data


def relationship() -> Matrix:
    """Additive relationships of 20 animals: unrelated parents, then full and half sibs."""
    A = np.eye(20)
    for i in range(6, 20):
        sire, dam = i % 3, 3 + i % 2
        A[i, :i] = A[:i, i] = 0.5 * (A[sire, :i] + A[dam, :i])
        A[i, i] = 1.0 + 0.5 * A[sire, dam]
    return A


def named(A: Matrix) -> pd.DataFrame:
    names = [f"a{i:02d}" for i in range(len(A))]
    return pd.DataFrame(A, names, names)


@pytest.mark.parametrize("reml", [False, True])
def test_an_animal_model_has_the_likelihood_of_its_dense_covariance(
    animals: pd.DataFrame, reml: bool
) -> None:
    A = relationship()
    fit = hglm.fit(
        "y ~ x + (1 | id)",
        animals,
        covariances={"id": named(A)},
        method="reml" if reml else "ml",
    )
    Z = np.repeat(np.eye(20), 3, axis=0)
    X = np.column_stack([np.ones(60), animals["x"]])

    def objective(x: Vector) -> float:
        V = np.exp(2.0 * x[0]) * Z @ A @ Z.T + np.exp(2.0 * x[1]) * np.eye(60)
        return deviance(V, X, animals["y"].to_numpy()[None], reml)

    best = optimize.minimize(objective, [0.0, 0.0], method="Nelder-Mead", tol=1e-10)
    assert -2.0 * fit.llf == pytest.approx(best.fun, abs=1e-8)
    assert fit.varcorr["sdcor"].to_numpy() == pytest.approx(np.exp(best.x), rel=1e-4)


def test_a_precision_matrix_says_the_same(animals: pd.DataFrame) -> None:
    A = relationship()
    labels = [f"a{i:02d}" for i in range(20)]
    dense = hglm.fit("y ~ x + (1 | id)", animals, covariances={"id": named(A)})
    for matrix in (np.linalg.inv(A), sparse.csc_array(np.linalg.inv(A))):
        related = hglm.Relationship(matrix, labels, precision=True)
        fit = hglm.fit("y ~ x + (1 | id)", animals, covariances={"id": related})
        assert fit.llf == pytest.approx(dense.llf, abs=1e-9)
        pd.testing.assert_frame_equal(fit.ranef(), dense.ranef(), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("response", "family"), [("y", "gaussian"), ("n", "poisson")])
def test_unrelated_levels_are_ordinary_ones(
    animals: pd.DataFrame, response: str, family: str
) -> None:
    formula = f"{response} ~ x + (1 | id)"
    plain = hglm.fit(formula, animals, family=family)
    known = hglm.fit(formula, animals, family=family, covariances={"id": named(np.eye(20))})
    assert known.llf == pytest.approx(plain.llf, abs=1e-8)
    np.testing.assert_allclose(known.params, plain.params, atol=1e-5)
    np.testing.assert_allclose(known.bse, plain.bse, rtol=1e-5)


@pytest.mark.parametrize(("response", "family"), [("y", "gaussian"), ("n", "poisson")])
def test_levels_that_are_one_are_a_coarser_factor(
    animals: pd.DataFrame, response: str, family: str
) -> None:
    """Relationships of one within families: the random effects of families."""
    family_of = np.arange(20) // 4
    data = animals.assign(litter=np.repeat(family_of, 3))
    same = named((family_of[:, None] == family_of).astype(float))
    coarse = hglm.fit(f"{response} ~ x + (1 | litter)", data, family=family)
    known = hglm.fit(f"{response} ~ x + (1 | id)", data, family=family, covariances={"id": same})
    assert known.llf == pytest.approx(coarse.llf, abs=1e-7)
    np.testing.assert_allclose(known.params, coarse.params, atol=1e-5)
    np.testing.assert_allclose(known.bse, coarse.bse, rtol=1e-4)


def test_breeding_values_are_mrodes() -> None:
    """Weight gain of five calves, σ²_a = 20 and σ²_e = 40, from a pedigree.

    Mrode (2014), Linear Models for the Prediction of Animal Breeding Values, 3rd ed., example
    3.1, solutions on p. 39. The variances are given there, not estimated: the equations are
    solved at the book's ratio.
    """
    pedigree = {4: (1, None), 5: (3, 2), 6: (1, 2), 7: (4, 5), 8: (3, 6)}
    A = np.eye(8)
    for child, parents in pedigree.items():
        i = child - 1
        for parent in parents:
            if parent is not None:
                A[i, :i] += 0.5 * A[parent - 1, :i]
        A[:i, i] = A[i, :i]
        if None not in parents:
            A[i, i] = 1.0 + 0.5 * A[parents[0] - 1, parents[1] - 1]
    gain, male = np.array([4.5, 2.9, 3.9, 3.5, 5.0]), np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    calves = pd.DataFrame({"gain": gain, "male": male, "id": [f"a{i:02d}" for i in range(3, 8)]})
    many = pd.concat([calves] * 3, ignore_index=True)  # enough rows for an estimate to exist
    model = hglm.Model(
        "gain ~ 0 + male + I(1 - male) + (1 | id)", many, covariances={"id": named(A)}
    )
    design = model.design
    root = design.mean.random[0].relation.root
    np.testing.assert_allclose(root @ root.T, A[3:, 3:], atol=1e-12)
    # three copies of a row carry the information of one of a third of the residual variance
    problem = linear_problem(design.mean, design.y)
    theta = np.array([np.sqrt(20.0 / (3.0 * 40.0))])
    s = solve(problem, theta / problem.maps[0][0, 0], reml=False)
    beta = problem.fixed.to_beta @ (problem.fixed.gamma + s.gamma) + problem.fixed.shift
    np.testing.assert_allclose(beta, [4.358, 3.404], atol=6e-4)  # 4.3585 is cut off in print
    breeding_values = root @ (problem.maps[0][0, 0] * s.combine(s.modes)[0].ravel())
    book = [-0.009, -0.186, 0.177, -0.249, 0.183]
    np.testing.assert_allclose(breeding_values, book, atol=6e-4)


@pytest.mark.parametrize("family", ["poisson", "nbinom2", "gamma"])
@pytest.mark.parametrize(
    "term",
    ["ar1(0 + day | g)", "toep(0 + occasion | g)", "ou(0 + day | g)", "matern(0 + day | g)"],
)
def test_gradients_of_structured_generalised_models(
    counts: pd.DataFrame, term: str, family: str
) -> None:
    data = counts.assign(n=counts["n"] + (0.5 if family == "gamma" else 0.0))
    check_gradient(hglm.fit(f"n ~ day + {term}", data[data["g"] < "g08"], family=family))


@pytest.mark.parametrize("formula", ["n ~ x + (1 | id)", "n ~ x + (x | id)"])
def test_gradients_of_generalised_models_of_related_levels(
    animals: pd.DataFrame, formula: str
) -> None:
    check_gradient(
        hglm.fit(formula, animals, family="poisson", covariances={"id": named(relationship())})
    )


def check_gradient(fit: Fit) -> None:
    """Compare the gradient with central differences, off the optimum."""
    state = fit.estimates.state
    assert isinstance(state, GeneralisedState)
    rng = np.random.default_rng(2)
    at = np.where(np.abs(state.psi) < 0.05, 0.1, state.psi) + 0.05 * rng.normal(size=len(state.psi))

    def value(psi: Vector) -> float:
        return evaluate_laplace(state.problem, psi, None, 1e-12).value

    gradient = evaluate_laplace(state.problem, at, None, 1e-12).gradient
    for j, unit in enumerate(np.eye(len(at))):
        h = 1e-4 * unit
        ahead, behind = value(at + h) - value(at - h), value(at + 2 * h) - value(at - 2 * h)
        difference = (8.0 * ahead - behind) / (12.0 * 1e-4)
        assert gradient[j] == pytest.approx(difference, rel=1e-6, abs=1e-5)
