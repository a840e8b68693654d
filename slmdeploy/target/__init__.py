"""Target profiles: schema, loading, checks."""
