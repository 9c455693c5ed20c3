"""What pictures and pages show: the examples behind the figures."""
