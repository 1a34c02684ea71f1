//! What `respond` makes of queries.
