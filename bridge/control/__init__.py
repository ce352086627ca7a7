"""How the command line reaches a running Strom: a unix socket that only its user can open."""
