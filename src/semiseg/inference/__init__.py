"""Uses trained runs: predictions for other images, export."""
