"""What a trained network is like, and how its training went."""
