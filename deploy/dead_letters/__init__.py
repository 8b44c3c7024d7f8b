"""`tally dead-letters`: what could not be stored, to look at, to send back, to drop."""
