"""Folders, caches, locks, and files that are complete or absent."""
