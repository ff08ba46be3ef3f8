"""Covariance structures by their names in a formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

import numpy as np

from hglm.covariance.autoregressive import Autoregressive, OrnsteinUhlenbeck
from hglm.covariance.correlation import Independent
from hglm.covariance.diagonal import Diagonal
from hglm.covariance.exchangeable import Exchangeable
from hglm.covariance.kernels import Exponential, Gaussian, Matern
from hglm.covariance.protocol import Structure
from hglm.covariance.scaled import Heterogeneous, Homogeneous
from hglm.covariance.spatial import spatial
from hglm.covariance.toeplitz import Toeplitz
from hglm.covariance.unstructured import Unstructured
from hglm.errors import FormulaError
from hglm.typing import Matrix

__all__ = ["COORDINATES", "STEPS", "STRUCTURES", "structure"]

STRUCTURES: Mapping[str, Structure] = {
    s.name: s
    for s in (
        Unstructured(),
        Diagonal(),
        Homogeneous("homdiag", Independent()),
        Heterogeneous("cs", Exchangeable(), by_moments=True),
        Homogeneous("homcs", Exchangeable()),
        Homogeneous("ar1", Autoregressive()),
        Heterogeneous("hetar1", Autoregressive()),
        Heterogeneous("toep", Toeplitz()),
        Homogeneous("homtoep", Toeplitz()),
    )
}
"""Structures of coefficients that need no more than their order."""

STEPS: Mapping[str, Callable[[Matrix], Structure]] = {
    "ar1": lambda x: Homogeneous("ar1", Autoregressive(_steps(x))),
    "hetar1": lambda x: Heterogeneous("hetar1", Autoregressive(_steps(x))),
    "toep": lambda _: STRUCTURES["toep"],
    "homtoep": lambda _: STRUCTURES["homtoep"],
}
"""Structures over occasions: whole numbers of steps, ascending. (k, 1)"""

COORDINATES: Mapping[str, Callable[[Matrix], Structure]] = {
    "ou": lambda x: Homogeneous("ou", OrnsteinUhlenbeck(x[:, 0])),
    "exp": lambda x: Homogeneous("exp", spatial(Exponential(), x)),
    "gau": lambda x: Homogeneous("gau", spatial(Gaussian(), x)),
    "matern": lambda x: Homogeneous("matern", spatial(Matern(), x)),
}
"""Structures over points: coordinates, of which `ou` takes one, ascending. (k, d)"""


def structure(name: str, coordinates: Matrix | None = None) -> Structure:
    """Find a covariance structure by its name in a formula.

    Parameters
    ----------
    name
        As in the formula.
    coordinates : (k, d) or None
        Where the k coefficients stand, for the structures in `STEPS` (which take
        steps 0, 1, 2, ... if None) and `COORDINATES`.

    Raises
    ------
    FormulaError
        If there is none of that name.
    """
    if coordinates is not None and name in STEPS:
        return STEPS[name](coordinates)
    if name in STRUCTURES:
        return STRUCTURES[name]
    if name in COORDINATES:
        if coordinates is None:
            raise FormulaError(
                f"The covariance structure {name!r} needs coordinates; write "
                f"`{name}(0 + x | g)` with a numeric column x."
            )
        return COORDINATES[name](coordinates)
    names = (*STRUCTURES, *COORDINATES)
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(names)}."
    raise FormulaError(f"There is no covariance structure {name!r}: {hint}")


def _steps(x: Matrix) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return x[:, 0].astype(np.intp)
