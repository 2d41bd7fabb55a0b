"""The parts of tools/soak.py: images of changing sizes, and the measurements of the process."""
