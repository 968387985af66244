"""The message store: schema, transactions, content, mailboxes, messages, changes, keys, queue.

All SQL of the gateway is in this package. It knows no protocol: what it is handed as octets it hands back as octets.
"""
