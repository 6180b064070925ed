"""Data sets on disk: their kinds, classes, images and masks, checks, and the manifest."""
