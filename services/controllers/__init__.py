"""Controllers: each brings one kind of object closer to what its spec asks for."""
