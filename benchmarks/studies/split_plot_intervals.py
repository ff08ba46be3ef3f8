"""Coverage of profile and bootstrap intervals on the split plot, and the bootstrap test.

    python benchmarks/studies/split_plot_intervals.py profile --replicates 1000
    python benchmarks/studies/split_plot_intervals.py bootstrap --replicates 400
    python benchmarks/studies/split_plot_intervals.py test --replicates 1000

Model and scenarios are those of `split_plot.py`. Profile intervals are those of the
likelihood, not the restricted one; bootstrap intervals come from 199 parametric replicates
of the fit by REML; the bootstrap test is the likelihood-ratio test of the whole-plot factor
with 199 simulations. Writes `split_plot_KIND.csv`; prints its table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from monte_carlo import Each, holds, markdown, merge, parse_options, replicate, scenarios, share
from split_plot_design import COEFFICIENTS, SCENARIOS, Template, make_template

from hglm.errors import HglmError
from hglm.fitting.record import Estimates
from hglm.fitting.refit import refit
from hglm.inference.bootstrap import bootstrap
from hglm.inference.bootstrap_intervals import IntervalKind
from hglm.inference.bootstrap_lrt import bootstrap_lrt
from hglm.inference.compare import Candidate
from hglm.inference.profile import profile_intervals

RESAMPLES = 199
BOOTSTRAP_KINDS: tuple[IntervalKind, ...] = ("percentile", "basic", "normal", "bca")
TESTED = "whole"
Hits = Mapping[tuple[str, str], bool]
"""By parameter and kind of interval or test: whether it covers, or rejects."""
Study = Callable[[Template, np.random.Generator], Hits]


def profile_study(template: Template, rng: np.random.Generator) -> Hits:
    """Whether the profile intervals cover."""
    estimates = refit(template.full.estimates, template.design, template.yields(rng))
    which = [*COEFFICIENTS, *template.yields.scenario.sds]
    limits = profile_intervals(estimates, template.names, which=which)
    return _covered(limits, template, "profile")


def bootstrap_study(template: Template, rng: np.random.Generator) -> Hits:
    """Whether the bootstrap intervals cover."""
    design = replace(template.design, y=template.yields(rng))
    estimates = refit(template.fit.estimates, design, design.y)
    replicates = bootstrap(estimates, design, RESAMPLES, rng)
    hits: dict[tuple[str, str], bool] = {}
    for kind in BOOTSTRAP_KINDS:
        hits |= _covered(replicates.conf_int(kind=kind), template, kind)
    return hits


def test_study(template: Template, rng: np.random.Generator) -> Hits:
    """Whether the likelihood-ratio tests reject at 5%, by simulation and by chi-square."""
    y = template.yields(rng)

    def fitted(model: Candidate) -> Candidate:
        design = replace(model.design, y=y)
        estimates: Estimates = refit(model.estimates, design, y)
        return Candidate(model.name, estimates, design)

    test = bootstrap_lrt(fitted(template.reduced[TESTED]), fitted(template.full), RESAMPLES, rng)
    return {
        (TESTED, "bootstrap"): test.p_value <= 0.05,
        (TESTED, "chi-square"): test.chi_square_p_value <= 0.05,
    }


STUDIES: dict[str, Study] = {
    "profile": profile_study,
    "bootstrap": bootstrap_study,
    "test": test_study,
}


def main() -> None:
    """Run, save and print."""
    options = parse_options(__doc__ or "", replicates=400, kinds=list(STUDIES))
    path = options.out / f"split_plot_{options.kind}.csv"
    first = 200 + 10 * list(STUDIES).index(options.kind)
    for number, name in scenarios(options, SCENARIOS):
        print(name, file=sys.stderr)
        template = make_template(SCENARIOS[name])
        task = Each(partial(attempt, STUDIES[options.kind], template))
        found = replicate(task, options.replicates, first + number, workers=options.workers)
        merge(path, summarise(name, found), "scenario")
    print(markdown(as_texts(pd.read_csv(path))))


def attempt(study: Study, template: Template, rng: np.random.Generator) -> Hits | None:
    """One data set; None where a fit or an interval fails."""
    try:
        return study(template, rng)
    except HglmError:
        return None


def summarise(scenario: str, found: Sequence[Hits | None]) -> pd.DataFrame:
    """Count hits: a row a parameter and kind."""
    good = [hits for hits in found if hits is not None]
    failed = len(found) - len(good)
    return pd.DataFrame(
        [
            {"scenario": scenario, "parameter": parameter, "kind": kind, "failed": failed}
            | share(hits[parameter, kind] for hits in good)
            for parameter, kind in good[0]
        ]
    )


def as_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Shares in per cent with their 95% Monte Carlo intervals, a column a kind."""
    values = table[["share", "low", "high"]].to_numpy()
    texts = [f"{100 * s:.1f} ({100 * a:.1f}–{100 * b:.1f})" for s, a, b in values]
    names = table["parameter"].str.replace("|", "\\|")
    return (
        table.assign(text=texts, parameter=names)
        .pivot_table(
            index=["scenario", "parameter", "failed"],
            columns="kind",
            values="text",
            aggfunc="first",
            sort=False,
        )
        .reset_index()
    )


def _covered(limits: pd.DataFrame, template: Template, kind: str) -> Hits:
    truth = {**dict.fromkeys(COEFFICIENTS, 0.0), **template.yields.scenario.sds}
    return {(name, kind): holds(limits, name, true) for name, true in truth.items()}


if __name__ == "__main__":
    main()
