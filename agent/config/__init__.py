"""The operator's file and his keys: read whole, or told what is wrong in them."""
