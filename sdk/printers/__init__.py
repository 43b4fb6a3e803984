"""Tables of API objects, with the columns that Kubernetes prints.

Which columns a kind has stands on its message; what stands in them is computed here: pods.py, workloads.py, network.py,
cluster.py. `Layout` gives headers and rows, `Writer` pads and prints them, documents.py prints YAML and JSON,
paths.py evaluates JSONPath.
"""

from .table import Layout, Writer, cells, columns, definitions, kind_prefix, labels_text, typed_cells

__all__ = ["Layout", "Writer", "cells", "columns", "definitions", "kind_prefix", "labels_text", "typed_cells"]
