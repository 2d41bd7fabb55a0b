"""Modules shared by the tools that train many detectors and compare them."""
