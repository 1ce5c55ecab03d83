"""Scripts of the page, one job each; `cellharness.report.explorer.page` joins them in one file."""
