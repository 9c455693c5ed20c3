"""What no attack within a budget can change: all swaps tried, or randomised smoothing."""
