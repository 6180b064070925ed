"""Reads batches from disk: decoded store, loader, geometry, and random draws keyed by seed and iteration."""
