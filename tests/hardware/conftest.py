"""The engine's tiny study, for tests of what couples several processes."""

from tests.engine.conftest import build, frozen_statistics, prepared

__all__ = ["build", "frozen_statistics", "prepared"]
