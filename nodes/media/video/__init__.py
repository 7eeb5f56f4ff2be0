"""Reading of video files that may be damaged or hostile: frames with their presentation times, and the audio."""
