"""Tests of the sandbox. Everything about HTTP is tested over real loopback."""
