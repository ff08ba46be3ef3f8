"""Best known optima of the stress set, by many starts of an objective that is not hglm's.

    python benchmarks/stress_reference.py          # minutes; writes tests/stress_optima.json

The criterion and the data come from `tests/stress_models.py`. From every start BFGS with
numerical derivatives goes downhill; the three best ends are polished by Nelder and Mead's
simplex, which needs no derivatives. hglm takes no part in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from stress_models import SEEDS, Oracle, oracle, starts, stress_frame  # noqa: E402


def main() -> None:
    """Search every model and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=60)
    parser.add_argument("--out", type=Path, default=TESTS / "stress_optima.json")
    options = parser.parse_args()
    found = {}
    for seed in SEEDS:
        values = multistart(oracle(stress_frame(seed)), seed, options.starts)
        found[str(seed)] = -0.5 * values[0]
        share = float(np.mean(values < values[0] + 2e-4))
        print(f"{seed:3d}  {found[str(seed)]:.8f}  {share:.0%} of the starts", file=sys.stderr)
    record = {
        "what": "highest restricted log likelihood found for each seed of stress_models.py",
        "how": f"benchmarks/stress_reference.py --starts {options.starts}",
        "loglik": found,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def multistart(criterion: Oracle, seed: int, number: int) -> np.ndarray:
    """Sorted local minima from all starts."""
    ends = []
    for start in starts(np.random.default_rng([seed, 1]), number):
        end = minimize(criterion, start, method="BFGS", options={"gtol": 1e-6})
        ends.append((float(end.fun), end.x))
    ends.sort(key=lambda end: end[0])
    for value, x in ends[:3]:
        settings = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 2000}
        polished = minimize(criterion, x, method="Nelder-Mead", options=settings)
        ends.append((min(float(polished.fun), value), polished.x))
    return np.sort([value for value, _ in ends])


if __name__ == "__main__":
    main()
