"""The control process: the scheduler and all controllers, each over the client of its own identity."""
