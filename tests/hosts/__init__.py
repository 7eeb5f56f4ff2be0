"""Stand-ins for the hosts of the model, written from their documentation alone, and one suite that runs against all."""
