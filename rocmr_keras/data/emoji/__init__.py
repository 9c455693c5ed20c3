"""A data set of drawings and their names, made of installed packages."""
