"""The one training loop: networks and optimisers, checkpoints, the record. Training only."""
