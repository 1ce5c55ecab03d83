"""MEDIAR (Lee et al. 2022), first of the NeurIPS 2022 challenge: flows by a SegFormer U-Net."""
