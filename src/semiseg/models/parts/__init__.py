"""Encoders, heads and discriminators that networks are made of."""
