"""Planning: experiments that have not been made yet, and the power they will have."""

from __future__ import annotations

from hglm.planning.assume import assume
from hglm.planning.data_model import DataModel
from hglm.planning.factorial import simulate_design
from hglm.planning.power import power
from hglm.planning.result import Power

__all__ = ["DataModel", "Power", "assume", "power", "simulate_design"]
