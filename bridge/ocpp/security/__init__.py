"""Who may come as which charger: passwords, TLS, certificates, and what it tells of them."""
