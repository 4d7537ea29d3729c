"""Judges whether a cluster can be armed: who is heard, who can be fenced, which would-be fences were false.

`values` has what is found, `of_host` judges one host, `of_cluster` sums hosts up and adds what concerns all of them.
Nothing here changes a state or opens a gate: an operator arms, whatever the verdict says.
"""
