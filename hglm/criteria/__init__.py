"""Criteria: functions of the parameters that a fit minimises, with their derivatives."""

from __future__ import annotations
