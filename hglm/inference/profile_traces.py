"""Where the other parameters go while one is held away: the traces of profiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from hglm.fitting.record import Estimates
from hglm.inference.profile import Which, make_profiler
from hglm.inference.targets import choose_targets, targets
from hglm.typing import Vector

__all__ = ["profile_traces"]


def profile_traces(
    estimates: Estimates,
    names: Sequence[str],
    which: Which = None,
    zetas: Sequence[float] = tuple(np.linspace(0.5, 3.0, 6)),
) -> pd.DataFrame:
    """Follow all chosen parameters along the profile of each.

    Parameters
    ----------
    estimates
        Of any model.
    names : (p,)
        Of the fixed effects.
    which
        Names of parameters; all by default.
    zetas
        Positive ζ at which to stop, on both sides of the estimate.

    Returns
    -------
    DataFrame
        Columns `parameter, zeta` and one for each parameter, which holds its value
        where the profile of `parameter` is at `zeta`.
    """
    profiler = make_profiler(estimates)
    chosen = choose_targets(targets(estimates, names), which)

    def values(phi: Vector) -> list[float]:
        return [target.report(target.function(phi)[0]) for target in chosen]

    rows = []
    for target in chosen:
        rows.append([target.name, 0.0, *values(profiler.phi)])
        for side in (-1.0, 1.0):
            phi: Vector | None = None
            for zeta in sorted(zetas):
                _, phi = profiler.extreme(target, side * zeta, phi)
                rows.append([target.name, side * zeta, *values(phi)])
    frame = pd.DataFrame(rows, columns=["parameter", "zeta", *(t.name for t in chosen)])
    order = frame["parameter"].map({t.name: i for i, t in enumerate(chosen)})
    ranked = frame.assign(order=order).sort_values(["order", "zeta"], ignore_index=True)
    return ranked.drop(columns="order")
