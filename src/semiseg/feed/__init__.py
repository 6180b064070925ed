"""From the disk to a batch: decoded store, loader, geometry, random draws keyed by seed and iteration."""
