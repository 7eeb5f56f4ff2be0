"""A fuzz run over video files: real ones are damaged in every way, then decoded, uploaded and joined in child processes."""
