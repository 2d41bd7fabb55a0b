"""The rows of tools/faults.py: trainings that are killed, stopped, starved and damaged."""
