"""Who owns which field: managedFields on every write, and server-side apply on top of them (KEP-555).

sets      sets of field paths, and their form in managedFields (FieldsV1)
shapes    what of a message is one value, a struct, a map, a set, a list with keys
messages  the fields of a message, and what differs between two of them
trees     the same of JSON trees, and merging what is applied into what is there
managers  the entries of an object: decoded, changed by an update or an apply, encoded
"""
