"""Programs and containers of others, by the challenge's contract: a folder in, a folder out."""
