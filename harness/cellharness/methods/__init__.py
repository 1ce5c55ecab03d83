"""What a method is, and how methods and their weights are found by name."""
