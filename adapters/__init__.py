"""One file or folder a method; ``adapters.registry`` finds them by name."""
