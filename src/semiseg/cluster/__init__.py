"""What a run needs, where it can run, and what the cluster at hand offers."""
