"""From strings and image files to what the towers read."""
