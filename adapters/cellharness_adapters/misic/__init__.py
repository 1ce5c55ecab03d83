"""MiSiC: rod-shaped bacteria, and what looks like them, from their shape index."""
