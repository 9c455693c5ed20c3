"""A row for each query and attack, with what was attacked."""
