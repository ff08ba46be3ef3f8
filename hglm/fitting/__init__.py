"""Fitting: start values, search, certificate, and the record of estimates."""
