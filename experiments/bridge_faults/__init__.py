"""What the hardware bridge does when everything around it goes wrong."""
