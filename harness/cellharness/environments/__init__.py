"""Environments beside our own: built of a file of exact versions, kept in the cache folder."""

from __future__ import annotations

from cellharness.environments.building import INSTALLERS, Installer, create_environment
from cellharness.environments.source import EnvironmentSource
from cellharness.environments.state import differences, environment_python, status_of

__all__ = [
    "INSTALLERS",
    "EnvironmentSource",
    "Installer",
    "create_environment",
    "differences",
    "environment_python",
    "status_of",
]
