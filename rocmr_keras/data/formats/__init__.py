"""Files of captions and images, one format a file."""
