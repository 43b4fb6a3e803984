"""Real members in network namespaces of their own, under faults; what clients saw is checked afterwards."""
