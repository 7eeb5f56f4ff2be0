"""Settings from config.toml and the environment, and the one value that is written to the file: the API key."""
