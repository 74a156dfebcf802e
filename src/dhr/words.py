"""Small texts for messages and pages: counts with their nouns, exceptions in one line."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun, in the singular for 1.

    >>> counted(1, "photograph"), counted(1200, "photograph"), counted(2, "class", "classes")
    ('1 photograph', '1,200 photographs', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def one_line(error: BaseException, longest: int = 300) -> str:
    """Return the message of an exception in one line, or the name of its class.

    >>> one_line(ValueError("a  b\\n c")), one_line(KeyError())
    ('a b c', 'KeyError')
    """
    return " ".join(str(error).split())[:longest] or type(error).__name__
