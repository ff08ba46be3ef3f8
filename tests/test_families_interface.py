"""Families by name, checks of the response, deviances, starts and reports."""

from __future__ import annotations

import numpy as np
import pytest

from families_catalogue import CASES, Case
from hglm.errors import DataError, OptionError
from hglm.families import (
    FAMILIES,
    Beta,
    BetaBinomial,
    Binomial,
    ConwayMaxwellPoisson,
    Cumulative,
    Family,
    Gamma,
    Gaussian,
    GeneralizedPoisson,
    InverseGaussian,
    NegativeBinomial,
    NegativeBinomial1,
    Poisson,
    Response,
    Sizes,
    StudentT,
    Truncated,
    Tweedie,
    Wanted,
    ZeroInflated,
    bind,
    hurdle,
    point_at,
    resolve_family,
)

EACH = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_is_found_by_its_name(name: str) -> None:
    assert resolve_family(name).name == name
    assert resolve_family(name.upper().replace("_", " ")).name == name


@pytest.mark.parametrize(
    ("typed", "family"),
    [
        ("Normal", Gaussian()),
        ("inverse.gaussian", InverseGaussian()),
        ("InverseGaussian", InverseGaussian()),
        ("negative binomial", NegativeBinomial()),
        ("nb1", NegativeBinomial1()),
        ("beta_family", Beta()),
        ("betabinomial", BetaBinomial()),
        ("t", StudentT()),
        ("ordinal", Cumulative()),
        ("generalized_poisson", GeneralizedPoisson()),
        ("bernoulli", Binomial()),
    ],
)
def test_names_of_other_packages_are_known(typed: str, family: Family) -> None:
    assert resolve_family(typed) == family


def test_a_link_replaces_the_default() -> None:
    assert resolve_family("binomial", "probit") == Binomial("probit")
    assert resolve_family(Gamma(), "1/mu") == Gamma("inverse")
    assert resolve_family("inverse_gaussian", "1/mu^2") == InverseGaussian("inverse_squared")
    assert resolve_family(ZeroInflated(Poisson()), "sqrt") == ZeroInflated(Poisson("sqrt"))


def test_slips_get_near_matches_or_the_choices() -> None:
    with pytest.raises(OptionError, match=r"no family 'poison' .did you mean 'poisson'"):
        resolve_family("poison")
    with pytest.raises(OptionError, match=r"no family 'zebra'; choose one of gaussian, .*beta"):
        resolve_family("zebra")
    with pytest.raises(OptionError, match=r"mean of the binomial.*did you mean 'probit'.*cloglog"):
        resolve_family("binomial", "probitt")
    with pytest.raises(OptionError, match="no link 'inverse'; choose one of log, sqrt, identity"):
        Poisson("inverse")
    with pytest.raises(OptionError, match="is no family"):
        resolve_family(3)
    with pytest.raises(OptionError, match="is no family"):
        resolve_family(Poisson)


def test_statsmodels_family_objects_are_accepted() -> None:
    families = pytest.importorskip("statsmodels.genmod.families")
    links = families.links
    pairs = [
        (families.Poisson(), Poisson()),
        (families.Poisson(links.Sqrt()), Poisson("sqrt")),
        (families.Binomial(), Binomial()),
        (families.Binomial(links.Probit()), Binomial("probit")),
        (families.Binomial(links.CLogLog()), Binomial("cloglog")),
        (families.Binomial(links.Cauchy()), Binomial("cauchit")),
        (families.Gaussian(), Gaussian()),
        (families.Gamma(links.Log()), Gamma()),
        (families.Gamma(), Gamma("inverse")),
        (families.InverseGaussian(), InverseGaussian("inverse_squared")),
        (families.NegativeBinomial(alpha=1.0), NegativeBinomial()),
        (families.Tweedie(links.Log(), var_power=1.5), Tweedie()),
    ]
    for theirs, ours in pairs:
        assert resolve_family(theirs) == ours


def _validate(family: Family, y, labels=None, **sizes) -> Family:
    y = np.asarray(y, dtype=float)
    known = Sizes(**{k: np.asarray(v, dtype=float) for k, v in sizes.items()})
    return family.validate(Response(y, known), labels)


@pytest.mark.parametrize(
    ("family", "y", "message"),
    [
        (Poisson(), [1, -2, 0.5], "rows 1, 2 hold -2, 0.5"),
        (Poisson(), [np.inf, 1], "row 0 hold"),
        (Binomial(), [0, 1, 2], "row 2 hold.* 2; pass the number of trials"),
        (Gamma(), [1.0, 0.0], "row 1 hold.* 0; model zeros with Tweedie or a hurdle"),
        (Beta(), [0.2, 1.0], "between 0 and 1.*row 1"),
        (Gaussian(), [0.0, np.nan], "row 1 hold.* nan"),
        (Tweedie(), [0.0, -1.0], "zero or positive.*row 1"),
        (Truncated(Poisson()), [1, 0], "at least 1.*row 1.*hurdle"),
        (Cumulative(), [0, 1, 1.5], "category.*row 2"),
        (Cumulative(), [0, 2, 2], "No row has category 1"),
        (Cumulative(categories=2), [0, 1, 2], "3 categories"),
        (Poisson(), np.arange(-7.0, 1.0), "rows 0, 1, 2, 3, 4 and 2 more"),
    ],
)
def test_impossible_responses_name_their_rows(family: Family, y, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _validate(family, y)


def test_rows_are_named_by_their_labels() -> None:
    with pytest.raises(DataError, match="row b hold"):
        _validate(Poisson(), [1, -1, 2], ["a", "b", "c"])
    with pytest.raises(DataError, match="row c hold"):  # labels of the positive rows only
        _validate(hurdle(Poisson()), [0, 1, -1], ["a", "b", "c"])


def test_sizes_that_mean_nothing_are_refused() -> None:
    with pytest.raises(DataError, match=r"no precision weights.*frequencies"):
        _validate(Poisson(), [1, 2], weights=[1, 2])
    with pytest.raises(DataError, match="no trials"):
        _validate(Gaussian(), [1, 2], trials=[1, 2])
    with pytest.raises(DataError, match="weights must be positive"):
        _validate(Gaussian(), [1, 2], weights=[1, 0])
    with pytest.raises(DataError, match=r"Trials are whole numbers, but row 1 hold.* 2\.5"):
        _validate(Binomial(), [1, 0.4], trials=[3, 2.5])
    with pytest.raises(DataError, match="successes divided by `trials`"):
        _validate(Binomial(), [0.5, 0.4], trials=[2, 3])


def test_wrappers_refuse_families_that_do_not_fit() -> None:
    with pytest.raises(OptionError, match="cannot have extra zeros"):
        ZeroInflated(Gaussian())
    assert ZeroInflated(Truncated(Poisson())).name == "hurdle_truncated_poisson"
    assert ZeroInflated(Gamma()).name == "hurdle_gamma"
    assert ZeroInflated(Poisson()).name == "zero_inflated_poisson"
    assert hurdle(Poisson()) == ZeroInflated(Truncated(Poisson()))


def test_ordinal_family_counts_its_categories() -> None:
    family = _validate(Cumulative(), [0, 2, 1, 1])
    assert family == Cumulative(categories=3)
    assert [p.name for p in family.parameters] == ["location", "threshold1", "threshold2"]


_SATURATED = ["gaussian-log", "gaussian-weights", "gamma-inverse", "gamma-weights"]
_SATURATED += ["inverse_gaussian-log", "inverse_gaussian-weights", "poisson-log", "nbinom2-log"]
_SATURATED += ["binomial-cloglog", "bernoulli-logit", "tweedie-log", "tweedie-weights"]
_SATURATED += ["t-identity", "t-weights"]


@pytest.mark.parametrize("case", [c for c in CASES if c.name in _SATURATED], ids=lambda c: c.name)
def test_unit_deviance_is_twice_the_loss_against_saturation(case: Case) -> None:
    """d = 2φ {l(y; y) - l(y; μ)}; 1e-250 stands for a mean of zero."""
    point = point_at(case.predictors, case.sizes)
    y = case.family.simulate(point, np.random.default_rng(4))
    if case.family.name == "gaussian" and case.family.link == "log":
        y = np.abs(y)
    link = case.family.parameters[0].link
    inside = np.clip(y, 1e-250, 1.0 - 1e-16 if case.family.support == "proportion" else np.inf)
    at_y = link.link(inside if case.family.support != "real" or link.name == "log" else y)
    likelihood = bind(case.family, y, case.sizes)
    best = likelihood.derivatives((at_y, *case.predictors[1:]), Wanted(0)).value
    here = likelihood.derivatives(case.predictors, Wanted(0)).value
    scaled = case.family.support not in {"counts", "proportion"}
    phi = np.exp(case.predictors[1]) if scaled else 1.0
    deviance = case.family.unit_deviance(y, point)
    np.testing.assert_allclose(deviance, 2.0 * phi * (best - here), rtol=1e-9, atol=1e-12)
    assert np.all(deviance >= -1e-14)


@EACH
def test_starts_are_finite_points_of_the_model(case: Case) -> None:
    point = point_at(case.predictors, case.sizes)
    y = case.family.simulate(point, np.random.default_rng(8))
    data = Response(y, case.sizes)
    likelihood = bind(case.family, y, case.sizes)
    for mu in (None, np.broadcast_to(case.family.moments(point)[0].value, y.shape)):
        predictors = case.family.start(data, mu)
        assert len(predictors) == len(case.family.parameters)
        assert predictors[0].shape == y.shape
        assert all(np.isfinite(p).all() for p in predictors)
        if mu is None or case.family.support not in {"positive_counts"}:
            assert np.isfinite(likelihood.derivatives(predictors, Wanted(2)).value).all()


_COUNT_NAMES = ["poisson", "nbinom1", "nbinom2", "genpois", "compois", "tweedie"]


@pytest.mark.parametrize("name", _COUNT_NAMES)
def test_responses_that_are_all_zero_have_a_start_and_a_density(name: str) -> None:
    for family in (resolve_family(name), Poisson("sqrt")):
        y = np.zeros(5)
        predictors = family.validate(Response(y)).start(Response(y))
        jet = bind(family, y).derivatives(predictors, Wanted(2))
        assert np.isfinite(jet.value).all()
        assert np.isfinite(jet[0, 0]).all()
    with pytest.raises(DataError, match="Every response is zero"):
        _validate(hurdle(Poisson()), np.zeros(5))


def test_constant_responses_have_finite_dispersion_starts() -> None:
    for family in (Gaussian(), Gamma(), InverseGaussian(), StudentT(), Tweedie(), Beta()):
        predictors = family.start(Response(np.full(6, 0.5)))
        assert all(np.isfinite(p).all() for p in predictors)


@pytest.mark.parametrize(
    ("family", "extra"),
    [
        (Gaussian(), (0.6,)),
        (Gamma(), (-0.7,)),
        (InverseGaussian(), (-0.7,)),
        (NegativeBinomial(), (0.5,)),
        (NegativeBinomial1(), (0.4,)),
        (GeneralizedPoisson(), (0.7,)),
        (Beta(), (2.0,)),
        (BetaBinomial(), (1.5,)),
        (StudentT(), (0.4, np.log(5.0))),
        (Tweedie(), (0.2, 0.0)),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
def test_dispersion_starts_near_the_truth_at_the_true_mean(family: Family, extra) -> None:
    n = 20_000
    rng = np.random.default_rng(3)
    sizes = Sizes(trials=np.full(n, 9.0)) if family.support == "proportion" else Sizes()
    eta = rng.normal(0.5, 0.4, n)
    point = point_at((eta, *extra), sizes)
    y = family.simulate(point, rng)
    mu = family.moments(point)[0].value
    started = family.start(Response(y, sizes), mu)[1]
    assert abs(float(started) - extra[0]) < 0.25  # 25 %: a start, not an estimate


def test_sigma_is_reported_as_glmmtmb_does() -> None:
    """Gaussian and gamma: √φ, negative binomial, beta, Tweedie: the parameter itself."""
    for family, power in (
        (Gaussian(), 0.5),
        (Gamma(), 0.5),
        (NegativeBinomial(), 1.0),
        (Beta(), 1.0),
    ):
        assert family.parameters[1].sigma(np.asarray(0.8)) == pytest.approx(np.exp(0.8 * power))
    assert Poisson().parameters[0].sigma(np.asarray(0.8)) is None


@EACH
def test_arguments_are_never_written_to(case: Case) -> None:
    rng = np.random.default_rng(1)
    y = case.family.simulate(point_at(case.predictors, case.sizes), rng)
    frozen = [y, *case.predictors, case.sizes.trials, case.sizes.weights]
    copies = [None if a is None else np.array(a) for a in frozen]
    d = len(case.predictors)
    likelihood = bind(case.family, y, case.sizes)
    likelihood.derivatives(case.predictors, Wanted(3, tuple(range(d))))
    case.family.cdf(y, point_at(case.predictors, case.sizes))
    for array, copy in zip(frozen, copies, strict=True):
        if copy is not None:
            np.testing.assert_array_equal(array, copy)


def test_families_are_values() -> None:
    """Equal, hashable and printable, so that they can be compared and kept."""
    assert hash(hurdle(NegativeBinomial())) == hash(hurdle(NegativeBinomial()))
    assert (
        repr(ZeroInflated(Poisson())) == "ZeroInflated(base=Poisson(link='log'), zero_link='logit')"
    )
    assert ConwayMaxwellPoisson() != GeneralizedPoisson()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("lognormal", r"fit log\(y\)"), ("ZIP", "poisson with zero_inflation"), ("zinb", "nbinom2")],
)
def test_families_of_other_programs_are_told_where_they_are(name: str, remedy: str) -> None:
    with pytest.raises(OptionError, match=remedy):
        resolve_family(name)
