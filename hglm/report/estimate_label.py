"""What the estimates of a table of means or contrasts are, for the axis of a picture."""

from __future__ import annotations

import re

from hglm.families import Family
from hglm.report.marginal_means import EmmTable

__all__ = ["estimate_label"]

FUNCTION = re.compile(r"^[\w.]+\((.*)\)$")


def estimate_label(table: EmmTable, family: Family, response: str) -> str:
    """Name the estimates of a table.

    Parameters
    ----------
    table
        Means, slopes or contrasts.
    family
        Of the fit.
    response
        As typed in the formula.
    """
    scale = table.functions.scale
    if table.functions.kind == "slopes":
        return "Slope"
    if table.functions.kind == "contrasts":
        return scale.estimate if table.display.response and scale.ratio else "Difference"
    if scale.is_identity:
        return response
    if not table.display.response:
        return f"{response}, {scale.name} scale"
    if family.parameters[0].link.name == "identity":  # the table undoes log(y)
        return FUNCTION.sub(r"\1", response)
    return scale.estimate if "(" in response else f"{scale.estimate} of {response}"
