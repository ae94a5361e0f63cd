"""From numbers to pictures and pages."""
