"""Best known optima of the generalised stress set, by many starts of an independent objective.

    python benchmarks/stress_glmm_reference.py      # an hour; tests/stress_glmm_optima.json

The models come from `tests/stress_glmm_models.py`, the approximate deviance from
`tests/stress_glmm_oracle.py`, which has nothing of hglm. From every start BFGS goes downhill
by numerical derivatives; the three best ends are polished by Nelder and Mead's simplex.

Where the log density is not concave, log|H| may go to -∞ where the mode of some level is about
to vanish. Ends there, with a curvature below a tenth of the prior's, are no optima and are left
out; null is written for models that have no other.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from stress_glmm_models import SEEDS, stress_model  # noqa: E402
from stress_glmm_oracle import laplace, multistart  # noqa: E402

LEAST = 0.1


def main() -> None:
    """Search every model and write what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--out", type=Path, default=TESTS / "stress_glmm_optima.json")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    options = parser.parse_args()
    found: dict[str, float | None] = {}
    for seed in options.seeds:
        model = stress_model(seed)
        objective = laplace(model)
        ends = multistart(objective, np.random.default_rng([seed, 12]), options.starts)
        proper = [end for end in ends if objective.deviances(end.x[None])[2][0] > LEAST]
        best = round(float(proper[0].fun), 6) if proper else None
        found[str(seed)] = best
        share = np.mean([end.fun < proper[0].fun + 1e-3 for end in proper]) if proper else 0.0
        line = f"{seed:3d}  {model.kind:16s}  {best}  {share:.0%} of {len(proper)} ends"
        print(line, file=sys.stderr, flush=True)
    record = {
        "what": "lowest Laplace deviance found for each seed of stress_glmm_models.py",
        "how": f"benchmarks/stress_glmm_reference.py --starts {options.starts}",
        "deviance": found,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
