"""`make bench`: what the pack measures itself by, each figure a ratio within one run."""
