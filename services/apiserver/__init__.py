"""The API server: the only way in to the store.

A call passes through one file or folder per step: `terminator` (TLS) → `rpc` (method) → `access` (who, may they) →
`defaulting` → `admission` → `validation` → `storage` → `watchcache` (what readers get).
"""
