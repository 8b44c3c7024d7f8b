"""`make bench`: what the pipeline does here, beside a baseline of the same run."""
