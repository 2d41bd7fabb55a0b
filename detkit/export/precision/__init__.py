"""The numbers that an exported network calculates with: float32, bfloat16 or 8 bits."""
