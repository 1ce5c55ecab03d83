"""Work on many workers, by Dask: start or find them, hand out jobs, hear of what is lost."""
