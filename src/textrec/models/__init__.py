"""The models, one module a family; `textrec.registry` lists them by name."""
