"""The best items by dot product: exactly (`top_products`), in `cells`, by a `graph`, or as the `index` finds best; for
`everyone` as a stream."""
