"""What trainable methods share: the loop, its checkpoints, its options."""
