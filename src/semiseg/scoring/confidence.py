"""Histograms of confidence, of right and of wrong pixels, for calibration and for finding errors."""

from __future__ import annotations

AFFECTS_RESULTS = False

# Upper ends of the bins: narrow near 1, where most pixels of a trained network are.
EDGES = (
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.75,
    0.8,
    0.85,
    0.9,
    0.925,
    0.95,
    0.965,
    0.98,
    0.99,
    0.995,
    0.998,
    0.999,
    0.9995,
    0.9999,
)
BINS = len(EDGES) + 1
LEVELS = 255  # confidences are summed in 255ths
