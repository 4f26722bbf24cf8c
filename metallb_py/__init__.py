"""The library that the controller, the speaker and the command line share."""
