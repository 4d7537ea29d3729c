"""The command lines: parse arguments, call `app` or talk HTTP, print. No decisions about power here."""
