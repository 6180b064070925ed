"""Semi-supervised semantic segmentation methods, compared so that one can run, read and believe it."""

__version__ = "0.1.0"
