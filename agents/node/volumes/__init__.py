"""What is mounted into pods: made ready before their containers, kept up to date while they run, removed after."""
