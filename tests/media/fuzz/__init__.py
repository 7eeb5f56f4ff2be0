"""A fuzz run over video files: damaged in every way, then decoded, uploaded and joined in child processes."""
