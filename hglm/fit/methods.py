"""How a model is fitted: small configuration objects and their names."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from hglm.errors import OptionError

__all__ = ["ML", "REML", "Laplace", "Method", "resolve_method"]


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
    """Laplace approximation of the marginal likelihood, with observed information."""

    name: str = "laplace"


Method: TypeAlias = REML | ML | Laplace

_METHODS: dict[str, Method] = {"reml": REML(), "ml": ML(), "laplace": Laplace()}


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
    return method
