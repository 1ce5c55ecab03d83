"""Whole slides: an image by window, the tiles that it is cut into, one label image of theirs."""
