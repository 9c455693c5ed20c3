"""Attacks on pixels, within a ball."""
