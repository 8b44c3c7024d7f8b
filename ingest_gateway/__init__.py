"""The gateway: takes events over HTTP and answers once the log holds them."""
