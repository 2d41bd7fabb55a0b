"""Folders, caches, files that are complete or absent, and checkpoints."""
