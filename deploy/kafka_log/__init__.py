"""The log in Kafka as the command line sees it: its keys, and how far the consumers are behind."""

import logging

# A command says in its own words what is wrong; without a handler, Python prints aiokafka's too.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())
