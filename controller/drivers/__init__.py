"""The controller's side effects."""
