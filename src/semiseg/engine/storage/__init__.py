"""What a training writes: checkpoints, final weights and predictions, and its record."""
