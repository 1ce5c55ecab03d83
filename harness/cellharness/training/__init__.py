"""Training: which cases, in which process, recorded and resumable; and the one loop in torch."""
