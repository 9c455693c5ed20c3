"""From models and splits to embeddings, clean and attacked."""
