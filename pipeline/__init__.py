"""Stages and disk: configuration, plan, run directory, loop, launchers. Never touches a tensor."""
