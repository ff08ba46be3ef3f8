"""Priors that are mixtures on a grid, and their convex likelihoods."""

from __future__ import annotations
