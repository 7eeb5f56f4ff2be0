"""Files to URLs: one small class for each place a file can be put."""
