"""Labelled and unlabelled parts of the training images."""
