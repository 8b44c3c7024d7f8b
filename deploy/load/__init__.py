"""`tally load`: a file of events, of any size, into a gateway.

One lane, in the order of the file: a thread reads and prepares batches (`reader`, `lines`,
`columns`, `batches`) ahead of the one request in flight (`sender`), so that of two lines with one
event ID the later is appended later, retries included. A lane more would have to keep
that order too, and larger batches hide the wait for an answer as well.
"""
