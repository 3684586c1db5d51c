"""What several tasks are made of: how texts, answers and vectors lie in a batch, and losses, one formula each."""
