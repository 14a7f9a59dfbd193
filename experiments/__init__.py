"""Studies: one folder each, with a config, a command that runs it, and the result table that the command writes."""
