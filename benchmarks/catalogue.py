"""What a workload is: the records the catalogues in ``workloads`` are written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

DataMaker = Callable[[np.random.Generator], pd.DataFrame]
Measure = Literal["cpu_s", "peak_mb", "added_mb"]
"""CPU seconds; peak memory of the process; what the fit adds to program and data."""


@dataclass(frozen=True, slots=True)
class Term:
    """One random-effects term; ``columns`` beside the intercept, all correlated."""

    group: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"({' + '.join(self.columns) or '1'} | {self.group})"


@dataclass(frozen=True, slots=True)
class AtMost:
    """A target: hglm's measure is at most ``value``."""

    value: float
    measure: Measure = "cpu_s"


@dataclass(frozen=True, slots=True)
class Times:
    """A target: hglm's measure is at most that of ``engine`` divided by ``factor``.

    ``workload`` names another workload to compare with (growth with the number of rows).
    """

    factor: float
    engine: str
    measure: Measure = "cpu_s"
    workload: str | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """A model, its data and what is to be reached.

    Attributes
    ----------
    name, structure
        Identifier, and the structure in words.
    response, fixed, terms
        Parts of the formula, spelled as in Python (``**`` for powers).
    data
        Makes the frame from a generator; grouping columns are categorical.
    family, link, method, zero_inflation
        ``method`` is "reml", "ml" or "laplace".
    targets
        What hglm must reach.
    """

    name: str
    structure: str
    response: str
    fixed: str
    terms: tuple[Term, ...]
    data: DataMaker
    family: str = "gaussian"
    link: str = "identity"
    method: str = "reml"
    zero_inflation: str | None = None
    seed: int = 20250101
    targets: tuple[AtMost | Times, ...] = ()

    @property
    def formula(self) -> str:
        """The whole formula in hglm's spelling."""
        return f"{self.response} ~ {' + '.join([self.fixed, *map(str, self.terms)])}"

    @property
    def formula_r(self) -> str:
        """The whole formula in lme4's spelling."""
        return self.formula.replace("**", "^")
