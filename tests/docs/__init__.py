"""Tests of the documentation site and of its generated pages."""
