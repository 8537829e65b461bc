"""What goes wrong around the platform: after each fault and one normal run, everything is as if it had not happened."""
