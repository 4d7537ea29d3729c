"""The documentation as a site: pages from docs/, pictures of terminals, and a browser that looks at the result."""
