"""How sure a fit is: intervals by likelihood and by simulation, tests of variances."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from hglm.design import Design, DesignSpec
from hglm.errors import FitError, OptionError
from hglm.fitting.record import Estimates
from hglm.inference.bootstrap import BootstrapKind, bootstrap
from hglm.inference.bootstrap_intervals import IntervalKind
from hglm.inference.bootstrap_statistics import named_numbers
from hglm.inference.diagnostics.robust_covariance import RobustCovariance
from hglm.inference.profile import profile_frame, profile_intervals
from hglm.inference.restricted_lrt import RestrictedTest, restricted_lrt
from hglm.inference.simulate import RandomDraws
from hglm.inference.tests import wald_intervals
from hglm.planning import Power, power
from hglm.report.bootstrap import Bootstrap, bootstrap_table
from hglm.report.coefficients import chosen_ddf

__all__ = ["Inferring"]

Seed = np.random.Generator | int | None


class Inferring(ABC):
    """Intervals and simulation; each method hands over to one function."""

    design: Design
    spec: DesignSpec
    estimates: Estimates
    covariance: RobustCovariance | None

    def conf_int(
        self,
        level: float = 0.95,
        method: Literal["wald", "profile", "bootstrap"] = "wald",
        ddf: str | None = None,
        *,
        n: int = 1000,
        seed: Seed = None,
        kind: IntervalKind = "percentile",
        workers: int = 1,
        progress: bool = False,
    ) -> pd.DataFrame:
        """Confidence intervals.

        Parameters
        ----------
        level
            Coverage.
        method
            ``"wald"`` for the fixed effects from their standard errors, ``"profile"``
            for all parameters from the profile likelihood, ``"bootstrap"`` for all
            parameters from the parametric bootstrap.
        ddf
            For Wald intervals: ``"satterthwaite"`` (default of linear models),
            ``"kenward-roger"``, ``"residual"`` or ``"asymptotic"`` (normal quantiles;
            default of others).
        n, seed, workers, progress
            For the bootstrap; see `bootstrap`, which also tells what failed.
        kind
            For the bootstrap: ``"percentile"``, ``"basic"``, ``"normal"`` or ``"bca"``.
        """
        names = self.design.mean.names
        if method == "profile":
            return profile_intervals(self.estimates, names, level)
        if method == "bootstrap":
            return self.bootstrap(n, seed, workers=workers, progress=progress).conf_int(level, kind)
        if method != "wald":
            raise OptionError(
                f'There is no method {method!r}: use "wald", "profile" or "bootstrap".'
            )
        chosen = chosen_ddf(self.estimates, self.covariance, ddf)
        limits = wald_intervals(self.estimates, level, chosen)
        return pd.DataFrame(limits, list(names), ["conf_low", "conf_high"])

    def profile(self, which: Sequence[str] | str | None = None) -> pd.DataFrame:
        """Profile likelihood of parameters, all by default: `parameter, zeta, value`.

        ζ is the signed root of the rise of the deviance; see `hglm.inference.profile`.
        """
        return profile_frame(self.estimates, self.design.mean.names, which)

    def bootstrap(
        self,
        n: int = 1000,
        seed: Seed = None,
        *,
        kind: BootstrapKind = "parametric",
        group: str | None = None,
        random: RandomDraws = "new",
        statistic: Callable[[Self], Any] | None = None,
        workers: int = 1,
        progress: bool = False,
    ) -> Bootstrap:
        """Fit the model to n data sets like the one it was fitted to.

        Interrupting it (Ctrl-C) gives what is there so far, with a warning.

        Parameters
        ----------
        n
            Number of replicates.
        seed
            Generator or seed. The first m of n replicates are those of a call for m, on
            any number of workers.
        kind
            ``"parametric"``: new responses are drawn from the fitted model. ``"cases"``:
            levels of a grouping factor are drawn with replacement, with all their rows.
        group
            For cases: the factor, or ``"rows"``; by default the factor that contains all
            others, else the one with most levels.
        random
            For the parametric bootstrap: ``"new"`` random effects in each replicate
            (lme4's ``use.u=FALSE``), or the ``"conditional"`` modes.
        statistic
            Takes a fit; returns a number, a vector, a Series or a mapping of numbers, of
            the same names for every fit. All parameters by default, which is also much
            the fastest: they come from fits of many replicates at a time.
        workers
            Processes, -1 for one a core; more than one needs joblib.
        progress
            Whether to show a bar, where tqdm is installed.

        Examples
        --------
        >>> import hglm
        >>> fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
        >>> drawn = fit.bootstrap(1000, seed=1)
        >>> drawn.conf_int().loc["days"].round(1).tolist()
        [7.3, 13.5]
        """
        follow = None if statistic is None else _OfFit(self, statistic)
        drawn = bootstrap(
            self.estimates,
            self.design,
            n,
            seed,
            kind=kind,
            group=group,
            random=random,
            statistic=follow,
            workers=workers,
            progress=progress,
        )
        return bootstrap_table(drawn)

    def variance_test(
        self, parameter: str | None = None, n: int = 10_000, seed: Seed = None
    ) -> RestrictedTest:
        """Test that one variance of a linear mixed model is zero, exactly.

        The (restricted) likelihood-ratio test with its simulated finite-sample
        distribution; see `hglm.inference.restricted_lrt`. It needs no further fits of
        simulated data.

        Parameters
        ----------
        parameter
            Standard deviation to test, such as ``"sd(Intercept | subject)"``; may be left
            out where the model has only one.
        n
            Number of simulations.
        seed
            Generator or seed.

        Examples
        --------
        >>> import hglm
        >>> fit = hglm.fit("yield ~ 1 + (1 | batch)", hglm.load_dataset("dyestuff"))
        >>> round(fit.variance_test(seed=1).p_value, 3)
        0.004
        """
        return restricted_lrt(self.estimates, self.design, parameter, n, seed)

    def power(self, target: str, **options: Any) -> Power:
        """Estimate the power of a test in experiments like this one, by simulation.

        Parameters
        ----------
        target
            Coefficient, term or standard deviation that is tested.
        options
            Sizes, effects, number of simulations and the rest, as in `hglm.power`.

        Examples
        --------
        >>> import hglm
        >>> fit = hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))
        >>> found = fit.power("days", effect=5.0, n_groups=12, n=100, seed=1)
        >>> bool(found.frame["conf_low"][0] < found.frame["power"][0])
        True
        """
        return power(self, target, **options)


@dataclass(frozen=True, slots=True)
class _OfFit:
    """A statistic of a fit, as a statistic of its parts."""

    fit: Any
    """The fit that is replicated."""
    function: Callable[[Any], Any]

    def __call__(self, estimates: Estimates, design: Design) -> dict[str, float]:
        """Make the fit whole, and compute."""
        fit = replace(self.fit, estimates=estimates, design=design, covariance=None)
        try:
            found = self.function(fit)
        except Exception as error:
            raise FitError(f"The statistic raised {type(error).__name__}: {error}") from error
        name = getattr(self.function, "__name__", "<lambda>")
        return named_numbers(found, "statistic" if name == "<lambda>" else name)
