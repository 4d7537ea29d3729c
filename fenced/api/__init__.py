"""HTTP: what people and programs ask of the daemon, over `ports.control` alone. `server.build_app` is the way in."""
