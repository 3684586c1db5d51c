"""The shelf of forms: one file each, on the shelf by being there."""
