"""Omnipose (Cutler et al. 2022): its own weights, and the form in which the paper ran it."""
