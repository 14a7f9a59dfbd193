"""The twin beside codes and closed forms that nobody here wrote; RESULT.md holds the table."""
