"""How honest the standard deviations of perception are, against the twin's truth."""
