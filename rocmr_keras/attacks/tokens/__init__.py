"""Attacks on what a text encoder reads: token embeddings, token ids, ready-made edits."""
