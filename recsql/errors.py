"""The errors that recsql raises.

Each message says what happened and what to do next, in one line::

    RecsqlError
    ├── ConfigurationError      a setting or an option is wrong
    ├── DatabaseError           the server refused or could not be reached
    │   ├── ServerError         the embedded server could not be started or stopped
    │   ├── SchemaError         the database is at another revision than this release
    │   └── StorageError        the disk or a quota is full
    ├── InputError              a file, a row or an argument cannot be used
    │   ├── NotFoundError       the thing that was named does not exist
    │   ├── ContentError        an item's content cannot be embedded
    │   └── TemporaryError      an item's content cannot be had now
    ├── ModelError              a model or an encoder cannot be loaded, trained or used
    └── PipelineError           a stage of a run cannot go on
"""


class RecsqlError(Exception):
    """Something that recsql can explain went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)


class ConfigurationError(RecsqlError):
    """A setting or an option is wrong."""


class DatabaseError(RecsqlError):
    """The server refused or could not be reached."""


class ServerError(DatabaseError):
    """The embedded server could not be started or stopped."""


class SchemaError(DatabaseError):
    """The database is at another revision than this release."""


class StorageError(DatabaseError):
    """The disk or a quota is full."""


class InputError(RecsqlError):
    """A file, a row or an argument cannot be used."""


class NotFoundError(InputError):
    """The thing that was named does not exist."""


class ModelError(RecsqlError):
    """A model or an encoder cannot be loaded, trained or used."""


class PipelineError(RecsqlError):
    """A stage of a run cannot go on."""


class ContentError(InputError):
    """An item's content cannot be embedded."""


class TemporaryError(InputError):
    """An item's content cannot be had now.

    Attributes:
        provider: the host that did not answer.
    """

    def __init__(self, message: str | None = None, provider: str = "") -> None:
        super().__init__(message)
        self.provider = provider
