"""A fuzz run over video files: real ones are damaged in every way, then decoded and uploaded in child processes."""
