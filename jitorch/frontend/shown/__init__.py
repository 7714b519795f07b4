"""What a compiled function shows of itself: code, explain, the marked source, the check."""
