"""Inspection of a user's folder: its files, its likely classes, and irregularities."""
