"""Type I error of tests on a small unbalanced split plot, and coverage of Wald intervals.

    python benchmarks/studies/split_plot.py --replicates 3000

Every data set is fitted by REML, and its terms and two single coefficients are tested with
each kind of degrees of freedom; then by maximum likelihood, with and without each term, for
the likelihood-ratio test. A 95% Wald interval holds the true zero where the test of the
coefficient does not reject at 5%. Writes `split_plot.csv`; prints its table.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from monte_carlo import markdown, merge, parse_options, replicate, scenarios, share
from scipy.special import chdtrc
from split_plot_design import COEFFICIENTS, SCENARIOS, TERMS, Template, make_template

from hglm.errors import HglmError
from hglm.fitting.record import Estimates
from hglm.fitting.refit import refit
from hglm.fitting.refit_record import Refitter
from hglm.inference.contrasts import term_contrasts
from hglm.inference.tests import denominator, joint_test, row_tests
from hglm.numerics.replicates import Generators

LEVEL = 0.05
METHODS = ("satterthwaite", "kenward-roger", "residual", "asymptotic")
ALL = (*METHODS, "likelihood ratio")
PValues = dict[tuple[str, str], float]
"""By hypothesis and method."""


@dataclass(frozen=True, slots=True)
class Tested:
    """Tests of one data set; none where the fit failed."""

    p_values: PValues = field(default_factory=dict)
    singular: bool = False


@dataclass(frozen=True, slots=True)
class Tests:
    """Draws some data sets and tests all hypotheses in each."""

    template: Template
    refitters: Mapping[str, Refitter]
    contrasts: Mapping[str, np.ndarray]

    def __call__(self, generators: Generators) -> list[Tested]:
        Y = np.column_stack([self.template.yields(rng) for rng in generators])
        ratios = self._likelihood_ratios(Y)
        return [self._one(y, ratio) for y, ratio in zip(Y.T, ratios, strict=True)]

    def _one(self, y: np.ndarray, ratio: PValues) -> Tested:
        try:
            estimates = refit(self.template.fit.estimates, self.template.design, y)
        except HglmError:
            return Tested()
        return Tested({**self.wald(estimates), **ratio}, estimates.certificate.singular)

    def wald(self, estimates: Estimates) -> PValues:
        """F tests of the terms and t tests of the coefficients."""
        out = {}
        rows = np.eye(len(estimates.beta))[[self.template.names.index(c) for c in COEFFICIENTS]]
        for name in METHODS:
            method = denominator(estimates, name)
            for term, contrast in self.contrasts.items():
                out[term, name] = joint_test(estimates.beta, method, contrast).p_value
            single = row_tests(estimates.beta, method, rows).p_value
            out |= {(c, name): float(p) for c, p in zip(COEFFICIENTS, single, strict=True)}
        return out

    def _likelihood_ratios(self, Y: np.ndarray) -> list[PValues]:
        full = self.refitters["full"].many(Y).llf
        p_values = np.empty((len(full), len(TERMS)))
        for i, term in enumerate(TERMS):
            statistic = 2.0 * (full - self.refitters[term].many(Y).llf)
            p_values[:, i] = chdtrc(len(self.contrasts[term]), np.maximum(statistic, 0.0))
        keys = [(term, "likelihood ratio") for term in TERMS]
        return [dict(zip(keys, map(float, row), strict=True)) for row in p_values]


def make_tests(scenario: str) -> Tests:
    """Prepare the tests of a scenario."""
    template = make_template(SCENARIOS[scenario])
    contrasts = term_contrasts(template.fit.terms, 3)
    rows = {term: contrasts[term] for term in TERMS}
    return Tests(template, template.refitters(), rows)


def main() -> None:
    """Run, save and print."""
    options = parse_options(__doc__ or "", replicates=3000)
    path = options.out / "split_plot.csv"
    for number, name in scenarios(options, SCENARIOS):
        print(name, file=sys.stderr)
        task = make_tests(name)
        found = replicate(task, options.replicates, 100 + number, workers=options.workers)
        merge(path, rejections(name, found), "scenario")
    print(markdown(rejections_table(pd.read_csv(path))))


def rejections(scenario: str, found: Sequence[Tested]) -> pd.DataFrame:
    """Count rejections: a row a hypothesis and method, over all fits and the singular ones."""
    good = [one for one in found if one.p_values]
    groups = {"all": good, "singular": [one for one in good if one.singular]}
    rows = []
    for hypothesis in (*TERMS, *COEFFICIENTS):
        for method in ALL if hypothesis in TERMS else METHODS:
            row: dict[str, object] = {
                "scenario": scenario,
                "hypothesis": hypothesis,
                "method": method,
                "failed": len(found) - len(good),
            }
            for which, fits in groups.items():
                counted = share(one.p_values[hypothesis, method] < LEVEL for one in fits)
                row |= {f"{which}_{key}": value for key, value in counted.items()}
            rows.append(row)
    return pd.DataFrame(rows)


def rejections_table(table: pd.DataFrame) -> pd.DataFrame:
    """Rejections in per cent with their 95% Monte Carlo intervals, a column a method."""
    texts = [
        f"{100 * s:.1f} ({100 * a:.1f}–{100 * b:.1f})"
        for s, a, b in table[["all_share", "all_low", "all_high"]].to_numpy()
    ]
    wide = table.assign(text=texts).pivot_table(
        index=["scenario", "hypothesis"],
        columns="method",
        values="text",
        aggfunc="first",
        sort=False,
    )
    singular = table.groupby("scenario", sort=False)[["singular_n", "all_n"]].first()
    percent = (100 * singular["singular_n"] / singular["all_n"]).map("{:.0f} %".format)
    wide.insert(0, "singular", percent.loc[wide.index.get_level_values("scenario")].to_numpy())
    return wide.fillna("").reset_index()


if __name__ == "__main__":
    main()
