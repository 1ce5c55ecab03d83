"""Libraries of the page, bundled so that it needs no network; each file carries its licence."""
