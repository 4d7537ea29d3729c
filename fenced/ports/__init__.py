"""The outside world as the engine sees it: protocols and the errors that cross them. Adapters implement, `app` connects."""
