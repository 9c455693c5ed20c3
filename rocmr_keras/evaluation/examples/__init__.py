"""Examples behind the figures, for pictures and HTML reports."""
