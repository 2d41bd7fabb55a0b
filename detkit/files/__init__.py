"""What lies on disk, once and whole: folders, caches, files that are complete, checkpoints."""
