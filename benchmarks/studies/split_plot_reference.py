"""The same tests of the same split plots by lmerTest and pbkrtest.

    python benchmarks/studies/split_plot_reference.py --replicates 20

Needs R with lmerTest and pbkrtest. Writes `split_plot_reference.csv`, a row a scenario,
method and kind of fit with the largest difference; prints it.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from monte_carlo import Each, markdown, merge, parse_options, replicate, scenarios
from split_plot_design import SCENARIOS, Scenario, Yields, layout, make_template

from hglm.fitting.refit import refit
from hglm.inference.anova import anova_table

METHODS = ("satterthwaite", "kenward-roger")
DIFFERENCES = ["difference of p", "relative difference of df"]
SCRIPT = Path(__file__).with_suffix(".R")


def main() -> None:
    """Draw, test here and there, and compare."""
    options = parse_options(__doc__ or "", replicates=20)
    path = options.out / "split_plot_reference.csv"
    for number, name in scenarios(options, SCENARIOS):
        scenario = SCENARIOS[name]
        Y = np.column_stack(replicate(Each(Yields(scenario)), options.replicates, 100 + number))
        merge(path, compare(name, here(scenario, Y), there(scenario, Y)), "scenario")
    print(markdown(as_texts(pd.read_csv(path))))


def here(scenario: Scenario, Y: np.ndarray) -> pd.DataFrame:
    """Test by hglm: columns `response, term, method, den_df, p_value, singular`."""
    template = make_template(scenario)
    tables = []
    for i, y in enumerate(Y.T):
        estimates = refit(template.fit.estimates, template.design, y)
        for method in METHODS:
            table = anova_table(estimates, template.fit.terms, 3, method)
            table = table[["den_df", "p_value"]].reset_index()
            singular = estimates.certificate.singular
            tables.append(table.assign(response=f"y{i + 1}", method=method, singular=singular))
    return pd.concat(tables)


def there(scenario: Scenario, Y: np.ndarray) -> pd.DataFrame:
    """Test by R: the same columns."""
    responses = pd.DataFrame(Y, columns=[f"y{i + 1}" for i in range(Y.shape[1])])
    with tempfile.TemporaryDirectory() as folder:
        data, tests = Path(folder) / "data.csv", Path(folder) / "tests.csv"
        layout().join(responses).to_csv(data, index=False)
        right = scenario.formula.removeprefix("y")
        subprocess.run(["Rscript", str(SCRIPT), str(data), str(tests), right], check=True)
        return pd.read_csv(tests)


def compare(scenario: str, ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Largest differences by method, singular fits apart."""
    both = ours.merge(theirs, on=["response", "term", "method"], suffixes=("", "_r"))
    both["fits"] = np.where(both["singular"] | both["singular_r"], "singular", "not singular")
    both["difference of p"] = (both["p_value"] - both["p_value_r"]).abs()
    both["relative difference of df"] = (both["den_df"] / both["den_df_r"] - 1.0).abs()
    grouped = both.groupby(["method", "fits"])
    table = grouped[DIFFERENCES].max().join(grouped["response"].nunique().rename("data sets"))
    return table.reset_index().assign(scenario=scenario)


def as_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Show the differences to two digits."""
    texts = {name: table[name].map("{:.1e}".format) for name in DIFFERENCES}
    return table.assign(**texts)


if __name__ == "__main__":
    main()
