"""The tests on a Windows CPython, under wine."""
