"""The one exception for mistakes that a user can mend."""


class InputError(Exception):
    """Bad input or an unusable result; the message says what is wrong, where, and what to do."""
