"""The console at work: pictures of its states, how fast it is, and what it survives."""
