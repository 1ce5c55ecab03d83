"""Typed configurations: what a YAML file may say, and how it is read."""
