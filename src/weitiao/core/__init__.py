"""The cellar: contracts, registry, recipe, run folder and errors. Knows no other room, imports nothing heavy."""
