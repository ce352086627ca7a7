"""A driver's side of the public protocols: nostr, LNURL and the play-money wallet.

It knows nothing of Strom's inside: what it can do, any driver's client can.
"""
