"""`serve`: the report, live, and a page for labelling by keyboard; on this computer alone."""
