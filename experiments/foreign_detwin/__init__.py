"""de-twin, a simulated TEM with a Direct Electron camera, driven over its own network faces like a real one."""
