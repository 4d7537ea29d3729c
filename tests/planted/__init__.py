"""Small wrong changes to the rules, planted one at a time: the suite must kill each, and says which test did."""
