"""One dialect module for each host of the model."""
