"""A column behind temscript's REST interface: a driver, and its server script, run by an environment of its own."""
