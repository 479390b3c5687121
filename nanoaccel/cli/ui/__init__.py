"""What commands share to show and to ask."""
