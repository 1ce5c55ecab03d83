"""Training: which cases, in which process, recorded and resumable. Knows no method and no torch."""
