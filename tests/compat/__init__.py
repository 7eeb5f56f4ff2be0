"""The unit tests on every Python of this machine, with the lowest and the newest supported packages."""
