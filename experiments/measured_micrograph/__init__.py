"""A measured micrograph as the twin's specimen: what the agent finds in it, against the EDS map of the same field."""
