"""Whether containers are started, alive and ready, as their probes say."""
