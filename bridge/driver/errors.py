"""What can go wrong for a driver."""


class DriverError(Exception):
    """What the driver asked for did not work; the text is a sentence that says why."""
