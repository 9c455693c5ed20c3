"""Splits that are decoded and tokenised once, in memory or in a folder."""
