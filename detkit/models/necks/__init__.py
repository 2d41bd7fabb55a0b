"""Necks: the backbone's feature maps -> those the heads look at."""
