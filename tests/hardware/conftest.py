"""The engine's tiny study, for tests with several processes."""

from tests.engine.conftest import build, frozen_statistics, prepared

__all__ = ["build", "frozen_statistics", "prepared"]
