"""One operation on one host's power: from a request or a suspicion to verified OFF, the announcement and power back.

`requests` starts operations, `plan` carries them on, `restore` gives power back, `ending` ends them, `recovery` resumes them
after a restart.
"""
