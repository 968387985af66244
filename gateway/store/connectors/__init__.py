"""What the store keeps of connectors: accounts, what they granted us, their mail, and where each message lies here.

A worker owns a connector under a lease (`lease`), and every unit of its begins with `lease.fence`: who lost the lease
writes nothing any more. All units may be run again. Flags are kept as a mask of system flags and sorted names of
keywords (`rows.Flags`), for the bits of keywords are a mailbox's own.
"""
