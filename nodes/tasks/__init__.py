"""What was paid for: the ledger, the background runner, the budget."""
