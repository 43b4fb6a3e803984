"""Priority and fairness: which requests run, which wait, and which are told to come back, when there are too many."""
