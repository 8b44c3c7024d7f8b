"""`make fuzz`: requests that are wrong in every way, against a whole stack that runs."""
