"""What the estimates of a table of means or contrasts are, for the axis of a picture."""

from __future__ import annotations

import re

from hglm.families import Family
from hglm.inference.emmeans.scales import Scale
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
    kind, scale, is_response = table.functions.kind, table.functions.scale, table.display.response
    if kind == "slopes":
        return "Slope"
    if kind == "contrasts":
        return scale.estimate if is_response and scale.ratio else "Difference"
    return _of_means(scale, is_response, family, response)


def _of_means(scale: Scale, is_response: bool, family: Family, response: str) -> str:
    if scale.name == "latent":  # ordered categories: a place on the scale of the predictor
        return f"{scale.estimate} of {response} ({scale.name})"
    if scale.is_identity:
        return response
    if not is_response:
        return f"{response}, {scale.name} scale"
    if family.parameters[0].link.name == "identity":  # the table undoes log(y)
        return FUNCTION.sub(r"\1", response)
    return scale.estimate if "(" in response else f"{scale.estimate} of {response}"
