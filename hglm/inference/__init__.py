"""What a fit says: tests, intervals, predictions, random effects."""
