"""One script a claim; each measures against a named reference in the same run. See README.md."""
