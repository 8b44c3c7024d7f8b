"""Everything that puts the services together. It may import everybody; nobody imports it."""
