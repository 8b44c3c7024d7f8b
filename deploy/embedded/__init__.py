"""The embedded stack: the whole pipeline on one machine, with Python and nothing else."""
