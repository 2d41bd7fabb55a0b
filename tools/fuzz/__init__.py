"""The parts of tools/fuzz_files.py: seeds, mutations, readers, guards and the worker process."""
