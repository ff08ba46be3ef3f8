"""Recovery of true parameters by Laplace's approximation and by quadrature.

    python benchmarks/studies/recovery.py --replicates 400 --workers 2

For each model of `recovery_cases.py` and each data set both fits: bias of the estimates,
coverage of the 95% Wald intervals of the mean's coefficients, failures, singular fits, and
how often the package warns of the approximation by itself. Writes `recovery.csv` (a row a
parameter) and `recovery_fits.csv` (a row a model); prints their tables.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from monte_carlo import Each, holds, markdown, merge, parse_options, replicate, scenarios, share
from recovery_cases import CASES, Case

import hglm
from hglm.errors import HglmError
from hglm.inference.bootstrap_draws import default_statistic
from hglm.inference.diagnostics.check import LARGE_LAPLACE_ERROR


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is kept of a fit; its numbers are NaN where there is none."""

    estimates: dict[str, float]
    covers: dict[str, bool]
    """Whether the interval of each coefficient holds the truth."""
    failed: bool = False
    singular: bool = False
    laplace_error: float = np.nan


Pair = tuple[Recovered, Recovered]
"""By Laplace, by quadrature."""


def main() -> None:
    """Run, save and print."""
    options = parse_options(__doc__ or "", replicates=400)
    for number, name in scenarios(options, CASES):
        print(name, file=sys.stderr)
        case = CASES[name]
        task = Each(partial(recover, case))
        pairs = replicate(task, options.replicates, number, workers=options.workers)
        merge(options.out / "recovery.csv", parameters(name, case, pairs), "model")
        merge(options.out / "recovery_fits.csv", fits(name, pairs), "model")
    print(markdown(coefficients_table(pd.read_csv(options.out / "recovery.csv"))), end="\n\n")
    print(markdown(variances_table(pd.read_csv(options.out / "recovery.csv"))), end="\n\n")
    print(markdown(fits_table(pd.read_csv(options.out / "recovery_fits.csv"))))


def recover(case: Case, rng: np.random.Generator) -> Pair:
    """Draw a data set and fit it both ways."""
    frame = case.frame(rng)
    return fit(case, frame, hglm.Laplace()), fit(case, frame, hglm.Quadrature(case.nodes))


def fit(case: Case, frame: pd.DataFrame, method: hglm.Laplace | hglm.Quadrature) -> Recovered:
    truth = case.truth
    try:
        found = hglm.fit(
            case.formula,
            frame,
            case.family,
            link=case.link,
            zero_inflation=case.zero_inflation,
            method=method,
        )
    except HglmError:
        return Recovered(dict.fromkeys(truth, np.nan), {}, failed=True)
    limits = found.conf_int()
    covers = {name: holds(limits, name, truth[name]) for name in case.coefficients}
    error = found.certificate.laplace_error
    return Recovered(
        estimates=default_statistic(found.estimates, found.design),
        covers=covers,
        failed=not found.converged,
        singular=found.singular,
        laplace_error=np.nan if error is None else error,
    )


def parameters(model: str, case: Case, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Bias, spread and coverage of each parameter, over the data sets that both methods fit."""
    good = [pair for pair in pairs if not (pair[0].failed or pair[1].failed)]
    rows = []
    for name, truth in case.truth.items():
        values = np.array([[fit.estimates[name] for fit in pair] for pair in good])
        values = values[np.isfinite(values).all(axis=1)]  # no correlation where a variance is 0
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        difference = values[:, 0] - values[:, 1]
        row: dict[str, object] = {
            "model": model,
            "parameter": name,
            "truth": truth,
            "n": len(values),
            "laplace_less_quadrature": difference.mean(),
            "its_mc_error": difference.std(ddof=1) / np.sqrt(len(values)),
        }
        for i, method in enumerate(("laplace", "quadrature")):
            row[f"{method}_bias"] = values[:, i].mean() - truth
            row[f"{method}_mc_error"] = error[i]
            row[f"{method}_median"] = np.median(values[:, i])
            if name in case.coefficients:
                covers = share(pair[i].covers[name] for pair in good)
                row |= {f"{method}_coverage_{k}": covers[k] for k in ("share", "low", "high")}
        rows.append(row)
    return pd.DataFrame(rows)


def fits(model: str, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Failures, singular fits and warnings of a model."""
    laplace, quadrature = zip(*pairs, strict=True)
    errors = np.array([fit.laplace_error for fit in laplace])
    row = {
        "model": model,
        "n": len(pairs),
        "laplace_failed": sum(fit.failed for fit in laplace),
        "quadrature_failed": sum(fit.failed for fit in quadrature),
        "laplace_singular": sum(fit.singular for fit in laplace),
        "quadrature_singular": sum(fit.singular for fit in quadrature),
        "laplace_error_median": float(np.nanmedian(errors)),
        "warned": int(np.sum(np.abs(errors) >= LARGE_LAPLACE_ERROR)),
    }
    return pd.DataFrame([row])


def coefficients_table(table: pd.DataFrame) -> pd.DataFrame:
    """Bias and coverage of the fixed effects, as texts."""
    table = table[table["laplace_coverage_share"].notna()]
    ratio = np.abs(table["laplace_less_quadrature"]) / table["quadrature_mc_error"]
    out = pd.DataFrame(
        {
            "model": table["model"],
            "coefficient": table["parameter"],
            "truth": table["truth"],
            "quadrature − truth": _biases(table, "quadrature_bias", "quadrature_mc_error"),
            "Laplace − quadrature": _biases(table, "laplace_less_quadrature", "its_mc_error"),
            "in MC errors": ratio.map("{:.2f}".format),
        }
    )
    for method in ("Laplace", "quadrature"):
        values = table[[f"{method.lower()}_coverage_{k}" for k in ("share", "low", "high")]]
        texts = [f"{100 * s:.1f} ({100 * a:.1f}–{100 * b:.1f})" for s, a, b in values.to_numpy()]
        out[f"coverage, {method}"] = texts
    return out


def variances_table(table: pd.DataFrame) -> pd.DataFrame:
    """Medians and biases of all other parameters, as texts."""
    table = table[table["laplace_coverage_share"].isna()]
    return pd.DataFrame(
        {
            "model": table["model"],
            "parameter": table["parameter"].str.replace("|", "\\|"),
            "truth": table["truth"].map("{:.4g}".format),
            "median, Laplace": table["laplace_median"].map("{:.3f}".format),
            "median, quadrature": table["quadrature_median"].map("{:.3f}".format),
            "quadrature − truth": _biases(table, "quadrature_bias", "quadrature_mc_error"),
            "Laplace − quadrature": _biases(table, "laplace_less_quadrature", "its_mc_error"),
        }
    )


def fits_table(table: pd.DataFrame) -> pd.DataFrame:
    """Failures, singular fits and warnings, as texts."""
    pairs = {k: table[f"laplace_{k}"].astype(str) for k in ("failed", "singular")}
    pairs = {k: v + ", " + table[f"quadrature_{k}"].astype(str) for k, v in pairs.items()}
    return pd.DataFrame(
        {
            "model": table["model"],
            "data sets": table["n"],
            "failed (Laplace, quadrature)": pairs["failed"],
            "singular": pairs["singular"],
            "error of the log likelihood, median": table["laplace_error_median"].map(
                "{:.3f}".format
            ),
            "`check()` warns": (100 * table["warned"] / table["n"]).map("{:.0f} %".format),
        }
    )


def _biases(table: pd.DataFrame, value: str, error: str) -> list[str]:
    pairs = table[[value, error]].to_numpy()
    return [f"{bias:+.4f} ± {mc:.4f}" for bias, mc in pairs]


if __name__ == "__main__":
    main()
