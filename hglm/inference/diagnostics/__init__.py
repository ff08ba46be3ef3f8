"""Whether a fitted model may be believed: residuals, influence, robust errors, checks."""
