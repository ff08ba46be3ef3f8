"""Fitting: start values, search, certificate, and the record of estimates."""

from __future__ import annotations
