"""Settings of the whole test suite."""

from __future__ import annotations

import os

# Before NumPy is imported: the matrices are small, and results must not depend on the machine.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("MPLBACKEND", "agg")

from hypothesis import settings  # noqa: E402 -- may import NumPy

# The same examples in every run, however slow the machine.
settings.register_profile("hglm", derandomize=True, deadline=None)
settings.load_profile("hglm")
