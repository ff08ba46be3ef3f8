"""Reports: frames of results, and their rendering as text, HTML, LaTeX and Markdown."""

from __future__ import annotations
