"""The charge point's mind: one identity agent around one session state machine."""
