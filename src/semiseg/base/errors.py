"""Errors that the user can fix, and their exit codes for scripts and schedulers."""

from __future__ import annotations

AFFECTS_RESULTS = False

EXIT_USER = 2  # wrong key, file or value: repeating the command cannot help
EXIT_DIVERGED = 3  # NaN or infinite loss
EXIT_OUT_OF_MEMORY = 4
EXIT_INTERRUPTED = 75  # EX_TEMPFAIL: stopped on request with a checkpoint; the same command continues


class UserError(Exception):
    """One sentence that names the file or key and says what to do; shown without a traceback."""

    exit_code = EXIT_USER


class Diverged(UserError):
    """A loss became NaN or infinite."""

    exit_code = EXIT_DIVERGED


class OutOfMemory(UserError):
    """The device has too little memory for the recipe."""

    exit_code = EXIT_OUT_OF_MEMORY


class Interrupted(UserError):
    """The run was asked to stop and left a checkpoint."""

    exit_code = EXIT_INTERRUPTED
