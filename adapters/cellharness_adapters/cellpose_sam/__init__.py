"""Cellpose-SAM (Cellpose 4): a network, weights and an environment of its own."""
