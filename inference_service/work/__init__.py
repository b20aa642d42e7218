"""The work itself: requests become units, and units become files, whoever runs them."""
