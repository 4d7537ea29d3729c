"""The alert rules, their runbooks and the dashboard, against Debian's Prometheus."""
