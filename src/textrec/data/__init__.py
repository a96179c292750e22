"""Reading: tables, the CiteULike layouts, the catalogue of public data, simulated data, and what they hold."""
