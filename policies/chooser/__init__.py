"""The learned chooser: what it is told of candidates, the network that picks one, its checkpoints, and its policy."""
