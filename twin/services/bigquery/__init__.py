"""BigQuery: datasets, tables and jobs in the store; rows in DuckDB, in a worker process of its own."""
