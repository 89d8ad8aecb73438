"""What the user sees: commands, screens, reports."""
