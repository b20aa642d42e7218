"""What is made: requests become units, and units become files, whoever runs them."""
