"""KIT-GE (Scherr et al. 2021): cells from predicted cell and neighbour distances."""
