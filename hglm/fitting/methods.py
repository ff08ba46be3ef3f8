"""How a model is fitted: small configuration objects and their names."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, TypeAlias

from hglm.errors import OptionError

__all__ = ["ML", "REML", "Laplace", "Method", "Quadrature", "resolve_method"]


@dataclass(frozen=True, slots=True)
class REML:
    """Restricted maximum likelihood, for linear models."""

    name: str = "reml"


@dataclass(frozen=True, slots=True)
class ML:
    """Maximum likelihood, for linear models."""

    name: str = "ml"


@dataclass(frozen=True, slots=True)
class Laplace:
    """Laplace approximation of the marginal likelihood, with observed information.

    Parameters
    ----------
    starts
        From how many points to search: more than one where the likelihood may have several
        optima, see `Certificate.may_have_other_modes`. None for one start, or sixteen where
        the approximation turns out to be poor.
    seed
        Of the random starts; the first is not random.
    """

    starts: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        if self.starts is not None:
            _check_starts("Laplace", self.starts)

    @property
    def name(self) -> str:
        """Name of the method."""
        return "laplace"


@dataclass(frozen=True, slots=True)
class Quadrature:
    """Adaptive Gauss-Hermite quadrature, for one grouping factor.

    Parameters
    ----------
    nodes
        Nodes in each dimension, or ``"auto"`` to add nodes until the log
        likelihood is stable.
    starts, seed
        Number of starts, and seed of all but the first.
    """

    nodes: int | Literal["auto"] = "auto"
    starts: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        given: object = self.nodes  # whatever the annotation says
        if given != "auto" and (not isinstance(given, int) or given < 1):
            raise OptionError(
                f'Quadrature(nodes={self.nodes!r}): give a whole number of nodes or "auto".'
            )
        _check_starts("Quadrature", self.starts)

    @property
    def name(self) -> str:
        """Name of the method."""
        return "quadrature"


def _check_starts(name: str, starts: object) -> None:
    """Raise unless it is a positive whole number."""
    if not isinstance(starts, int) or isinstance(starts, bool) or starts < 1:
        raise OptionError(f"{name}(starts={starts!r}): give a whole number of starts, 1 or more.")


Method: TypeAlias = REML | ML | Laplace | Quadrature

_METHODS: dict[str, Method] = {
    "reml": REML(),
    "ml": ML(),
    "laplace": Laplace(),
    "quadrature": Quadrature(),
}


def resolve_method(method: str | Method | None) -> Method | None:
    """Return the method of that name; None for the model's default.

    Raises
    ------
    OptionError
        If there is none of that name.
    """
    if isinstance(method, str):
        name = method.lower()
        if name in _METHODS:
            return _METHODS[name]
        near = get_close_matches(name, _METHODS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(_METHODS)}."
        raise OptionError(f"There is no method {method!r}: {hint}")
    given: object = method  # whatever the annotation says
    if given is not None and not isinstance(given, (REML, ML, Laplace, Quadrature)):
        raise OptionError(
            f"{given!r} is no method; give a name, one of {', '.join(_METHODS)}, or an object such "
            "as hglm.REML()."
        )
    return method
