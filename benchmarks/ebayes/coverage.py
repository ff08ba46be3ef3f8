"""Coverage and length of normal-normal intervals when there are few groups.

True parameters from N(0, τ²), estimates with known standard errors; coverage is
averaged over groups and replications, as empirical Bayes intervals promise.

    python benchmarks/ebayes/coverage.py [replications]
"""

from __future__ import annotations

import sys

import numpy as np
from threadpoolctl import threadpool_limits

from hglm.empirical.normal.posterior import integrated, morris, plug_in
from hglm.empirical.normal.tau2 import estimate_tau2
from hglm.empirical.posterior import Posterior

METHODS = ("plug-in ML", "plug-in REML", "morris", "integrated")


def posteriors(y: np.ndarray, v: np.ndarray) -> dict[str, Posterior]:
    """Posterior of each kind, the prior mean estimated."""
    X = np.ones((y.size, 1))
    tau2 = {method: estimate_tau2(method, y, X, v).value for method in ("ml", "reml", "eb")}
    return {
        "plug-in ML": plug_in(y, X, v, tau2["ml"])[0],
        "plug-in REML": plug_in(y, X, v, tau2["reml"])[0],
        "morris": morris(y, X, v, tau2["eb"])[0],
        "integrated": integrated(y, X, v)[0],
    }


def main(replications: int) -> None:
    """Print coverage of 95 % intervals and their length over 2 × 1.96 × standard error."""
    print(f"{replications} replications; coverage in per cent (length over the raw interval's)\n")
    print("| groups | errors | τ²/v | " + " | ".join(METHODS) + " |")
    print("|---" * (3 + len(METHODS)) + "|")
    for k in (6, 10, 20, 50):
        for label, v in (("equal", np.ones(k)), ("unequal", np.geomspace(0.2, 5, k))):
            for ratio in (0.1, 0.5, 2.0):
                rng = np.random.default_rng(7)
                inside = dict.fromkeys(METHODS, 0.0)
                length = dict.fromkeys(METHODS, 0.0)
                for _ in range(replications):
                    theta = rng.normal(0, ratio**0.5, k)
                    y = rng.normal(theta, np.sqrt(v))
                    for method, posterior in posteriors(y, v).items():
                        low, high = posterior.quantile(0.025), posterior.quantile(0.975)
                        inside[method] += float(((low <= theta) & (theta <= high)).mean())
                        length[method] += float(((high - low) / (3.92 * np.sqrt(v))).mean())
                cells = [
                    f"{100 * inside[m] / replications:.1f} ({length[m] / replications:.2f})"
                    for m in METHODS
                ]
                print(f"| {k} | {label} | {ratio} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
