"""One process for a node: node agent, service proxy and cluster DNS, composed here and nowhere else."""
