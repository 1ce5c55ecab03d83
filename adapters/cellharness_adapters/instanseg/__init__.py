"""InstanSeg: nuclei and cells from TorchScript models that hold network and post-processing."""
