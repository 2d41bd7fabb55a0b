"""An exported network as a graph of nodes: reading, simplifying, naming and fusing it."""
