"""The plugins of NanoAccel's tutorial."""
