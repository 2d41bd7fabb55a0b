"""Modules of tools/lineage.py, which trains every system of the lineage and compares them."""
