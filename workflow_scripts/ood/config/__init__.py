"""From YAML to resolved, checked settings."""
