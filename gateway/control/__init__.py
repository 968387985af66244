"""Administration of a store, running or not.

`operations` is one table of what an administrator can do. A running server offers it on a Unix socket in its data
directory (`server`); the command line calls it there (`client`), or in its own process when no server holds the
store (`local`). Either way the same function runs, so a change made beside a running server reaches its caches and
the sessions in IDLE.
"""
