"""How well a hidden instrument is measured: 30 twins with hidden errors, and instruments that nobody here wrote."""
