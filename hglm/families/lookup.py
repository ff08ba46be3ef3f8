"""Families by name: the one place that lists them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from hglm.errors import OptionError
from hglm.families.base import Family
from hglm.families.beta import Beta
from hglm.families.beta_binomial import BetaBinomial
from hglm.families.binomial import Binomial
from hglm.families.checks import did_you_mean
from hglm.families.conway_maxwell import ConwayMaxwellPoisson
from hglm.families.cumulative import Cumulative
from hglm.families.gamma import Gamma
from hglm.families.gaussian import Gaussian
from hglm.families.generalized_poisson import GeneralizedPoisson
from hglm.families.inverse_gaussian import InverseGaussian
from hglm.families.links import LINKS
from hglm.families.negative_binomial import NegativeBinomial, NegativeBinomial1
from hglm.families.poisson import Poisson
from hglm.families.student import StudentT
from hglm.families.truncated import Truncated
from hglm.families.tweedie import Tweedie
from hglm.families.zero import ZeroInflated

F = TypeVar("F", bound=Family)

__all__ = ["FAMILIES", "resolve_family"]

FAMILIES: dict[str, Callable[[], Family]] = {
    "gaussian": Gaussian,
    "binomial": Binomial,
    "poisson": Poisson,
    "gamma": Gamma,
    "nbinom2": NegativeBinomial,
    "nbinom1": NegativeBinomial1,
    "inverse_gaussian": InverseGaussian,
    "beta": Beta,
    "beta_binomial": BetaBinomial,
    "student_t": StudentT,
    "tweedie": Tweedie,
    "genpois": GeneralizedPoisson,
    "compois": ConwayMaxwellPoisson,
    "truncated_poisson": lambda: Truncated(Poisson()),
    "truncated_nbinom2": lambda: Truncated(NegativeBinomial()),
    "truncated_nbinom1": lambda: Truncated(NegativeBinomial1()),
    "truncated_genpois": lambda: Truncated(GeneralizedPoisson()),
    "truncated_compois": lambda: Truncated(ConwayMaxwellPoisson()),
    "cumulative": Cumulative,
}
"""Canonical name -> maker of the family with its default links."""

_ALIASES = {
    "normal": "gaussian",
    "bernoulli": "binomial",
    "binary": "binomial",
    "logistic": "binomial",
    "nb2": "nbinom2",
    "nb": "nbinom2",
    "negbin": "nbinom2",
    "negativebinomial": "nbinom2",
    "negativebinomial2": "nbinom2",
    "nb1": "nbinom1",
    "negativebinomial1": "nbinom1",
    "betafamily": "beta",
    "t": "student_t",
    "student": "student_t",
    "tfamily": "student_t",
    "generalizedpoisson": "genpois",
    "generalisedpoisson": "genpois",
    "conwaymaxwellpoisson": "compois",
    "cmp": "compois",
    "ordinal": "cumulative",
    "ordered": "cumulative",
    "clm": "cumulative",
    "truncatednegativebinomial": "truncated_nbinom2",
    "truncatednegativebinomial1": "truncated_nbinom1",
}

_LINK_ALIASES = {
    "1/mu": "inverse",
    "inversepower": "inverse",
    "reciprocal": "inverse",
    "1/mu^2": "inverse_squared",
    "1/mu**2": "inverse_squared",
    "inversesquared": "inverse_squared",
    "cauchy": "cauchit",
    "logistic": "logit",
    "squareroot": "sqrt",
}


def resolve_family(family: object, link: str | None = None) -> Family:
    """Return a family from a name, a family object or one of statsmodels'.

    Parameters
    ----------
    family
        A name (``"poisson"``, ``"nbinom2"``, ...; case, blanks, dots and underscores
        do not matter), a `Family`, or an object whose class is named like a
        family and which has a `link`, such as statsmodels' ``sm.families.Poisson()``.
    link
        Replaces the link of the mean.

    Examples
    --------
    >>> resolve_family("binomial", "probit")
    Binomial(link='probit')
    """
    found = family if isinstance(family, Family) else _from_name_or_object(family)
    if link is None:
        return found
    return _with_link(found, _canonical_link(link))


def _from_name_or_object(family: object) -> Family:
    if isinstance(family, str):
        return FAMILIES[_canonical_family(family)]()
    link = getattr(family, "link", None)
    if isinstance(family, type) or link is None:
        raise OptionError(
            f"{family!r} is no family; give a name such as 'poisson', or a family object "
            "such as hglm.families.Poisson('log')."
        )
    found = FAMILIES[_canonical_family(type(family).__name__)]()
    return _with_link(found, _canonical_link(type(link).__name__))


_INFLATED = "take {} with zero_inflation='~ 1'"
_ELSEWHERE: Mapping[str, str] = {
    "lognormal": "fit log(y) with the gaussian family, or take the gamma family",
    "quasipoisson": "take nbinom1, whose variance is a multiple of the mean, too",
    "quasibinomial": "take beta_binomial",
    "multinomial": "for ordered categories take ordinal, for others one binomial model for each",
    "zip": _INFLATED.format("poisson"),
    "zeroinflatedpoisson": _INFLATED.format("poisson"),
    "zinb": _INFLATED.format("nbinom2"),
    "zeroinflatednegativebinomial": _INFLATED.format("nbinom2"),
    "hurdle": "take truncated_poisson or truncated_nbinom2 with zero_inflation='~ 1'",
}
"""Families known elsewhere -> what to ask for here."""


def _canonical_family(name: str) -> str:
    word = "".join(c for c in name.lower() if c.isalnum())
    for canonical in FAMILIES:
        if word == canonical.replace("_", ""):
            return canonical
    if word in _ALIASES:
        return _ALIASES[word]
    if word in _ELSEWHERE:
        raise OptionError(f"There is no family {name!r}; {_ELSEWHERE[word]}.")
    hint = did_you_mean(name, [*FAMILIES, *_ALIASES]) or f"; choose one of {', '.join(FAMILIES)}"
    raise OptionError(f"There is no family {name!r}{hint}.")


def _canonical_link(name: str) -> str:
    word = name.lower().replace(" ", "")
    if word in LINKS:
        return word
    bare = word.replace("_", "").replace(".", "")
    return _LINK_ALIASES.get(word, _LINK_ALIASES.get(bare, word))


def _with_link(family: F, link: str) -> F:
    """Replace the link of the mean, inside a wrapper where there is one."""
    if isinstance(family, Truncated):
        return replace(family, base=_with_link(family.base, link))
    if isinstance(family, ZeroInflated):
        return replace(family, base=_with_link(family.base, link))
    changed = {"link": link}
    return replace(family, **changed)
