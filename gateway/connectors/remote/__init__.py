"""What somebody does by hand in an account elsewhere, and the polling of its new mail: by connections of their own.

`door` opens one, `actions` is what can be done then, `ranges` reads how messages are named, `arrivals` finds new mail
and `polling` hands it to a target and moves the poller's cursor.
"""
