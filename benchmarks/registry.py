"""The engines: which script runs each, how, and on which kind of model."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SCRIPTS = Path(__file__).parent / "engines"
Kind = Literal["python", "peer", "r"]


@dataclass(frozen=True, slots=True)
class Engine:
    """One program, or one setting of it.

    Attributes
    ----------
    name
        Column title and identifier.
    script
        File in ``engines/``.
    kind
        Run by this interpreter, by the peers' interpreter or by Rscript.
    methods
        Methods of the workloads it is run on.
    variant
        Setting passed to the script.
    """

    name: str
    script: str
    kind: Kind
    methods: frozenset[str]
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Interpreters:
    """Programs that run the scripts; ``peer`` holds the Python peers (its own environment)."""

    peer: str = sys.executable
    rscript: str = "Rscript"

    def command(self, engine: Engine) -> list[str]:
        """Return the start of the command line of an engine."""
        script = str(SCRIPTS / engine.script)
        program = {
            "python": [sys.executable],
            "peer": [self.peer],
            "r": [self.rscript, "--vanilla"],
        }[engine.kind]
        variant = ["--variant", engine.variant] if engine.variant else []
        return [*program, script, *variant]


LINEAR = frozenset({"reml", "ml"})
GENERALISED = frozenset({"laplace"})
BOTH = LINEAR | GENERALISED

ENGINES = (
    Engine("hglm", "hglm_engine.py", "python", BOTH),
    Engine("lme4", "lme4_engine.R", "r", LINEAR, "noderiv"),
    Engine("lme4-derivs", "lme4_engine.R", "r", LINEAR, "default"),
    Engine("mixedlm", "mixedlm_engine.py", "peer", BOTH),
    Engine("mixedlm-rs", "mixedlm_rs_engine.py", "peer", LINEAR),
    Engine("lme-python", "lme_python_engine.py", "peer", LINEAR),
    Engine("statsmodels", "statsmodels_engine.py", "peer", LINEAR),
    Engine("gpboost", "gpboost_engine.py", "peer", BOTH),
    Engine("glmer", "glmer_engine.R", "r", GENERALISED, "default"),
    Engine("glmer-bobyqa", "glmer_engine.R", "r", GENERALISED, "bobyqa"),
    Engine("glmmTMB", "glmmtmb_engine.R", "r", GENERALISED, "default"),
    Engine("glmmTMB-nose", "glmmtmb_engine.R", "r", GENERALISED, "nose"),
    Engine("null", "null_engine.py", "python", BOTH),
)
