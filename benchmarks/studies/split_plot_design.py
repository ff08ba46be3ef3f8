"""The unbalanced split plot of the studies of tests and intervals.

Six blocks of three whole plots (factor `whole`), each of four subplots (factor `sub`);
one whole plot and nine single subplots are lost, which leaves 59 yields. Or the same plots
completely randomised, without blocks: one grouping factor, so that a bootstrap is cheap.
All effects are zero: every rejection is an error of the first kind. With sum-to-zero
coding, the model without the columns of a term is the hypothesis of type III.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

import hglm
from hglm.design import Design
from hglm.fitting.fit_design import fit_like
from hglm.fitting.record import Estimates
from hglm.fitting.refit import make_refitter
from hglm.fitting.refit_record import Refitter
from hglm.inference.compare import Candidate
from hglm.inference.drop_terms import without_columns

BLOCKS, WHOLES, SUBS = "abcdef", "ABC", "1234"
LOST_PLOT = "fC"
LOST = {"aA1", "aB3", "bC4", "cA2", "cA3", "dB1", "dC1", "eB4", "fA2"}
"""Subplots: block, whole, sub."""
TERMS = ("whole", "sub", "whole:sub")
COEFFICIENTS = ("whole[S.A]", "sub[S.1]")
"""One of the whole plots and one of the subplots."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """True standard deviations; that of the residual is one."""

    plot: float
    block: float | None = None
    """None where the whole plots are completely randomised."""

    @property
    def formula(self) -> str:
        groups = "plot" if self.block is None else "block / plot"
        return f"y ~ whole * sub + (1 | {groups})"

    @property
    def sds(self) -> dict[str, float]:
        """True standard deviations by the names that a fit gives them."""
        if self.block is None:
            return {"sd(Intercept | plot)": self.plot, "sigma": 1.0}
        of_plot, of_block = "sd(Intercept | plot:block)", "sd(Intercept | block)"
        return {of_plot: self.plot, of_block: self.block, "sigma": 1.0}


SCENARIOS = {
    "blocks, small": Scenario(plot=0.3, block=0.2),
    "blocks, moderate": Scenario(plot=0.7, block=0.5),
    "blocks, large": Scenario(plot=1.5, block=2.0),
    "no blocks, small": Scenario(plot=0.3),
    "no blocks, large": Scenario(plot=1.0),
}


def layout() -> pd.DataFrame:
    """Columns `block, whole, sub, plot` of the subplots that are left."""
    rows = [(b, w, s, b + w) for b in BLOCKS for w in WHOLES for s in SUBS]
    frame = pd.DataFrame(rows, columns=["block", "whole", "sub", "plot"])
    lost = (frame["plot"] == LOST_PLOT) | (frame["plot"] + frame["sub"]).isin(LOST)
    return frame[~lost].reset_index(drop=True)


@dataclass(frozen=True)
class Yields:
    """Draws responses of a scenario."""

    scenario: Scenario

    def __call__(self, rng: np.random.Generator) -> np.ndarray:
        """One response, (59,)."""
        block, plot = self._codes
        y: np.ndarray = rng.standard_normal(len(block))
        if self.scenario.block is not None:
            y += self.scenario.block * rng.standard_normal(block.max() + 1)[block]
        y += self.scenario.plot * rng.standard_normal(plot.max() + 1)[plot]
        return y

    @cached_property
    def _codes(self) -> tuple[np.ndarray, np.ndarray]:
        frame = layout()
        return pd.factorize(frame["block"])[0], pd.factorize(frame["plot"])[0]


@dataclass(frozen=True, slots=True)
class Template:
    """The model of a scenario, fitted to one response, from which all others are fitted."""

    yields: Yields
    fit: hglm.Fit
    """By REML."""
    full: Candidate
    """By maximum likelihood."""
    reduced: dict[str, Candidate]
    """Without each of the terms."""

    @property
    def design(self) -> Design:
        return self.fit.design

    @property
    def names(self) -> list[str]:
        """Names of the fixed effects."""
        return list(self.design.mean.names)

    def refitters(self) -> dict[str, Refitter]:
        """Prepare fits by maximum likelihood: ``"full"``, and without each term."""
        models = {"full": self.full, **self.reduced}
        return {name: make_refitter(m.estimates, m.design) for name, m in models.items()}


def make_template(scenario: Scenario) -> Template:
    """Fit the model, and it without each of its terms."""
    frame, yields = layout(), Yields(scenario)
    frame["y"] = yields(np.random.default_rng(1))
    contrasts = {"whole": "sum", "sub": "sum"}
    fit = hglm.fit(scenario.formula, frame, contrasts=contrasts)

    def by_ml(name: str, design: Design) -> Candidate:
        estimates: Estimates = fit_like(fit.estimates, fit.family, design, by_ml=True)
        return Candidate(name, estimates, design)

    mean = fit.design.mean
    reduced = {
        term: by_ml(
            term,
            replace(fit.design, mean=without_columns(mean, fit.terms.coefficients[term])),
        )
        for term in TERMS
    }
    return Template(yields, fit, by_ml("full", fit.design), reduced)
