"""Draw the pictures of the documentation: `python docs/draw_pictures.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl

import hglm
from hglm.empirical.plots import forest

__all__ = ["PICTURES", "draw"]

FOLDER = Path(__file__).parent / "pictures"


@lru_cache
def sleep() -> hglm.Fit:
    """Fit reaction times, each subject with a line of their own."""
    return hglm.fit("reaction ~ days + (days | subject)", hglm.load_dataset("sleepstudy"))


@lru_cache
def radon() -> hglm.Fit:
    """Fit radon, counties with levels of their own."""
    return hglm.fit("log_radon ~ floor + (1 | county)", hglm.load_dataset("radon"))


@lru_cache
def oats() -> hglm.Fit:
    """Fit a split plot."""
    return hglm.fit("yield ~ nitro_f * variety + (1 | block/variety)", hglm.load_dataset("oats"))


@lru_cache
def owls() -> hglm.Fit:
    """Fit counts, with a covariate and an offset."""
    return hglm.fit(
        "sibling_negotiation ~ food_treatment * arrival_time + offset(log_brood_size) + (1 | nest)",
        hglm.load_dataset("owls"),
        family="nbinom2",
    )


@lru_cache
def herds() -> hglm.Fit:
    """Fit proportions."""
    return hglm.fit(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        hglm.load_dataset("cbpp"),
        family="binomial",
    )


@lru_cache
def trials() -> Any:
    """Fit a meta-analysis."""
    return hglm.ebayes(
        "yi ~ 1 | trial", hglm.load_dataset("dat_bcg"), model="meta", se="np.sqrt(vi)"
    )


PICTURES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "sleep-lines": (sleep, lambda fit: fit.plot.lines("days")),
    "sleep-shrinkage": (sleep, lambda fit: fit.plot.shrinkage()),
    "sleep-overview": (sleep, lambda fit: fit.plot()),
    "sleep-pairs": (
        sleep,
        lambda fit: fit.plot.pairs(
            ["sd(Intercept | subject)", "sd(days | subject)", "sigma", "days"]
        ),
    ),
    "sleep-profile": (sleep, lambda fit: fit.plot.profile("sd(Intercept | subject)")),
    "sleep-power": (
        sleep,
        lambda fit: fit.power(
            "days", effect=[3.0, 5.0, 8.0], n_groups=[6, 9, 12, 18, 24], n=200, seed=1
        ).plot(),
    ),
    "sleep-caterpillar": (sleep, lambda fit: fit.plot.caterpillar(term="days")),
    "radon-pooling": (radon, lambda fit: fit.plot.shrinkage()),
    "radon-qq": (radon, lambda fit: fit.plot.qq_ranef()),
    "oats-effects": (oats, lambda fit: fit.plot.effects("nitro_f", by="variety")),
    "owls-effects": (owls, lambda fit: fit.plot.effects("arrival_time", by="food_treatment")),
    "owls-overview": (owls, lambda fit: fit.plot()),
    "bcg-forest": (trials, forest),
    "herds-pairs": (
        herds,
        lambda fit: fit.plot.emmeans(fit.emmeans("period", scale="response").pairs()),
    ),
}
"""Name of a file -> fit, and its picture: a figure or axes."""


def draw(name: str) -> Any:
    """Return the figure of a picture."""
    fit, picture = PICTURES[name]
    drawn = picture(fit())
    return drawn if hasattr(drawn, "savefig") else drawn.figure


def main() -> None:
    """Write all pictures as small files."""
    mpl.use("Agg")
    FOLDER.mkdir(exist_ok=True)
    for name in PICTURES:
        draw(name).savefig(FOLDER / f"{name}.png", dpi=75, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
