"""Scores of predictions: evaluation, confusion matrices, selection rules, diagnostics of pseudo-labels."""
