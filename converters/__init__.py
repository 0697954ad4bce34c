"""Model files of other frameworks, read and lowered to jaxviz specs."""
