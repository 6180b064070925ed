"""Training: the training loop, networks and optimisers, checkpoints, the record."""
