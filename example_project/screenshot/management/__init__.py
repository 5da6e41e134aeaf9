"""What the commands of the app are made of."""
