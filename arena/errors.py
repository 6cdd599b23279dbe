"""The failures a user can act on.

Every message says what failed and why (``problem``) and what to do about it (``remedy``). The page shows both in the
place where the failure belongs, the shell prints both and exits without a traceback.
"""


class ArenaError(Exception):
    """A failure with a cause the user can understand and a remedy the user can try."""

    def __init__(self, problem: str, remedy: str = "", details: str = "") -> None:
        """Keep the parts of the message apart.

        Args:
            problem: What failed and why, as one or two sentences.
            remedy: What to do about it; empty if there is nothing to do.
            details: What a report needs and a photographer does not: checksums, paths, names of tensors. Not part of
                the message; the shell and ``arena doctor`` show it.
        """
        super().__init__(problem, remedy, details)
        self.problem = problem
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".rstrip()


class OptionError(ArenaError, ValueError):
    """An argument is outside what the function can do."""


class PhotoError(ArenaError):
    """A file is not a photo that can be read: missing, empty, truncated, of another format, or too large."""


class NobodyFoundError(ArenaError):
    """There is nobody in the photo whose background could be removed: no face, or no person about it."""


class DeviceError(ArenaError):
    """A compute device was asked for that this machine does not have."""


class UnknownModelError(ArenaError, KeyError):
    """No model of the catalog has this key."""

    # KeyError would print the repr of its arguments.
    __str__ = ArenaError.__str__


class ModelUnavailableError(ArenaError):
    """The catalog knows the model, but this build or this task cannot run it."""


class OutOfMemoryError(ArenaError):
    """The model or the photo does not fit the memory of the device."""


class WeightsError(ArenaError):
    """A model's weights could not be had or cannot be used."""


class OfflineError(WeightsError):
    """The weights are not on this machine and the hub cannot be reached, or must not be."""


class GatedError(WeightsError):
    """The hub gives the weights only to accounts that accepted a licence."""


class WeightsNotFoundError(WeightsError):
    """The hub has no such repository, revision or file."""


class ChecksumError(WeightsError):
    """A file's contents are not the ones that the model card names."""


class DiskSpaceError(WeightsError):
    """The disk has no room for the weights."""


class DownloadError(WeightsError):
    """A transfer broke off; what has arrived is kept and the next try goes on from there."""


class DownloadCancelled(WeightsError):  # noqa: N818 - it is a decision of the user, not an error
    """The user stopped a download; what has arrived is kept."""


class CheckpointError(WeightsError):
    """A file is intact but its tensors do not fit the network."""

    ADVICE = (
        "Update the program, or replace the file if you put it into ARENA_WEIGHTS_DIR. Otherwise please report this."
    )
    """Fetching again does not help: what is fetched has the published checksum."""


class UnexpectedError(ArenaError):
    """Something broke that should not have; the cause is chained, and the remedy asks for a report."""
