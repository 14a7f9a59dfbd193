"""How fast the parts are: commands that print a table and write nothing."""
