"""An app of somebody else's: plain models, sharded by the project."""
