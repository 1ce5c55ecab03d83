"""Cellpose (Stringer et al. 2021): weights, network and the segmenter around the library."""
