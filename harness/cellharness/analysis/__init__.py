"""What a run or a study shows, computed once from its directory: what reports put on a page."""
