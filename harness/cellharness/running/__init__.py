"""Run methods on cases: each in a process of its own, recorded, resumable, scored at the end."""
