"""What keeping an account in sync decides, as pure functions: no I/O, no clock, no await (times and chance are given).

`roles`, `names` and `filters` say what a folder is, `folder` what to do next with it and `windows` how much at once,
`flags`, `labels` and `vanish` what a difference means, `local` and `resume` what goes up, `standing`, `backoff`,
`destination` and `budget` when to try at all.
"""
