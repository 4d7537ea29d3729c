"""The pages of the documentation, as far as a reader types or pastes them: every block, and the test that runs it."""
