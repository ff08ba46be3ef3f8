"""Arrays in, arrays out: blocks, factors, optimisers, rules."""

from __future__ import annotations
