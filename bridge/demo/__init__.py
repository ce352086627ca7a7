"""`strom demo`: the main job with play money, told in a terminal."""
