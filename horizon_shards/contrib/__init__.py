"""What goes with other packages; each module needs an extra of its own."""
