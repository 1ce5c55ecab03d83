"""Manifests, images and labels: read, checked, imported, downloaded, generated."""
