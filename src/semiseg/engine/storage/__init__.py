"""The files that a training writes: checkpoints, final weights and predictions, and its record."""
