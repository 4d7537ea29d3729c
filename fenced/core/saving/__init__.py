"""Power saving (S24): who is put to sleep and who is woken. Saving never harms, and never delays a fence.

`policy` decides at each look at the gates; `asking` handles requests of people. What keeps a host awake is `core.idle`,
the operation that puts it to sleep `operation.sleeping`, and how a sleeper is heard and watched `suspected.sleepers`.
"""
