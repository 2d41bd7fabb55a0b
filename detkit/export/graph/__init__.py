"""The graph of an exported network: its nodes, its simplification, its layers and their fusion."""
