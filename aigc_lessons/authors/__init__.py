"""What only authors of the course run. No lesson imports it."""
