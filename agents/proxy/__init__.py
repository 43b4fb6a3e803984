"""kube-proxy's role: service addresses and node ports, on nftables."""
