"""Reports: the tables, charts and page that compare finished runs."""
