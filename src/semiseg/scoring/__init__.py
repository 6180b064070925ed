"""From predictions to scores: evaluation, confusion matrices, selection rules, diagnostics of pseudo-labels."""
