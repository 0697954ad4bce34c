"""Images: value ranges, pictures for people, and image files."""
