"""Many runs, one table, one page: methods compared on the same rows."""
