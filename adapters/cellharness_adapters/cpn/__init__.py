"""CPN (Upschulte et al. 2022), third of the NeurIPS 2022 challenge: contours by Fourier series."""
