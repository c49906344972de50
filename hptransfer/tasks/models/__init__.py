"""Models: ordinary modules, and the one door through which a factory is found."""
