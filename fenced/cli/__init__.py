"""The command lines: parse arguments, call `app` or talk HTTP, print. They decide nothing about power."""
