"""What is mounted into pods."""
