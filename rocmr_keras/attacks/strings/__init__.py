"""Attacks on captions as they are written."""
