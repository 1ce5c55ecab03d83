"""The classical baseline: Otsu's threshold, distance transform, watershed."""
