"""Secondary adapters and the composition root: OCPP, LNURL, web pages, command line."""
