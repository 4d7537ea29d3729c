"""Small bugs against the rules, planted one at a time: the suite must kill each, and reports the test that did."""
