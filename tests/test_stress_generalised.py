"""A hundred adversarial generalised models, each at its best known optimum or honest about it.

The best known values come from many starts of a Laplace approximation that shares nothing with
the package (`stress_glmm_oracle.py`; `benchmarks/stress_glmm_reference.py` made the file).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import hglm
from stress_glmm_models import CONCAVE, FAMILIES, SEEDS, stress_model
from stress_glmm_oracle import laplace

BEST = json.loads((Path(__file__).parent / "stress_glmm_optima.json").read_text("utf-8"))[
    "deviance"
]
SHORT = 1e-3  # what counts as worse, in deviance
LOG_CONCAVE = [seed for seed in SEEDS if FAMILIES[seed % len(FAMILIES)] in CONCAVE]
SLOW = (14, 17, 74)  # seconds of search at the edge of where the approximation has a meaning
OTHERS = [seed for seed in SEEDS if seed not in (*LOG_CONCAVE, *SLOW)]
HIDDEN = (94,)
"""Where one start misses the best optimum: one response is four hundred times the others."""


@cache
def fitted(seed: int) -> hglm.Fit:
    model = stress_model(seed)
    return hglm.fit(model.formula, model.data, model.family, **model.options)


def scalars(fit: hglm.Fit) -> list[float]:
    """Return the family's scalars, on the scales of their links."""
    state = fit.estimates.state
    return [float(b.to_beta[0, 0] * state.psi[b.first]) for b in state.problem.fixed[1:]]


def test_the_set_is_as_hard_as_it_should_be() -> None:
    models = [stress_model(seed) for seed in SEEDS]
    sizes = [model.data.groupby("g").size() for model in models]
    assert len(models) == 100
    assert min(map(len, sizes)) == 6
    assert 50 < max(map(len, sizes)) <= 60
    assert {min(map(min, sizes)), max(map(max, sizes))} == {2, 15}
    assert {model.slopes for model in models} == {0, 1, 2, 3}
    spread = np.array([model.data[["x", "w", "v"]].std() for model in models])
    assert spread.min() < 2e-2
    assert spread.max() > 50
    assert 0.4 < np.mean([fitted(seed).singular for seed in LOG_CONCAVE]) < 0.9


@pytest.mark.parametrize("seed", LOG_CONCAVE)
def test_no_optimum_is_missed_where_the_log_density_is_concave(seed: int) -> None:
    fit = fitted(seed)
    assert fit.deviance <= BEST[str(seed)] + SHORT
    assert fit.converged
    assert fit.certificate.gain < SHORT


@pytest.mark.parametrize("seed", OTHERS)
def test_elsewhere_the_best_is_found_or_more_starts_are_advised(seed: int) -> None:
    fit, best = fitted(seed), BEST[str(seed)]
    assert fit.certificate.may_have_other_modes
    if best is not None and fit.converged and seed not in HIDDEN:
        assert fit.deviance <= best + SHORT


@pytest.mark.parametrize("seed", [s for s in LOG_CONCAVE if s % 3 == 0 or s % 20 == 7])
def test_the_deviance_is_that_of_the_parameters(seed: int) -> None:
    """The independent approximation at the package's estimates: nothing rests on its own."""
    fit, objective = fitted(seed), laplace(stress_model(seed))
    psi = objective.psi_of(
        fit.params.to_numpy(), fit.estimates.terms[0].factor, np.array(scalars(fit))
    )
    value, _ = objective.value_and_gradient(psi)
    assert fit.deviance == pytest.approx(value, abs=1e-6)
