"""Joining of shots to one mp4: frames copied if all shots are alike, otherwise encoded once."""
