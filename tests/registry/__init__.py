"""What the registry gets: the file set, what it may not contain, its description, and that it runs on its own."""
