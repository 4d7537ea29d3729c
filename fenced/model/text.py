"""Text of somebody else, made fit to be shown: it can't move a cursor, colour a screen or begin a line of its own."""


def one_line(text: str) -> str:
    """The text on one line: each character that a terminal would obey, or can't show, as its escape (`\\x1b`, `\\n`)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
