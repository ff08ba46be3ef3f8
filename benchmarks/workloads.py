"""The benchmark catalogue, linear mixed models (LMMS) and generalised ones (GLMMS).

Names say the structure and the number of rows. Sizes and targets follow the published figures
of the programs they are run beside; the data are simulated from fixed seeds or shipped.
"""

from __future__ import annotations

from generalised_workloads import GLMMS
from linear_workloads import LMMS

CATALOGUE = {workload.name: workload for workload in LMMS + GLMMS}

__all__ = ["CATALOGUE", "GLMMS", "LMMS"]
