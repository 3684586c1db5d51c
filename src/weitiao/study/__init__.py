"""Many runs, one table, one page: methods compared on the same rows, one recipe on several folds or shares of its rows."""
