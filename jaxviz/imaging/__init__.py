"""Images: value ranges, what people are shown, and image files."""
