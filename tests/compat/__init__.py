"""The unit tests on every Python of this machine, with the oldest and the newest packages that are admitted."""
