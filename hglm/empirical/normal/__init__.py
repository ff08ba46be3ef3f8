"""Estimates with known standard errors."""

from __future__ import annotations
