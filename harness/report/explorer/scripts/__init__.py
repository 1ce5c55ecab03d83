"""Scripts of the page, one job each; `harness.report.explorer.page` joins them in one file."""
