"""The SQLite record of every paid task and upload, on disk before the money leaves."""
