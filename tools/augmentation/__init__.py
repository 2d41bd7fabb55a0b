"""Modules of tools/augmentation.py and tools/few_images.py, which train with few images."""
