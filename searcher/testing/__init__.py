"""Tests that extensions have to pass, to be imported by their own test suites; they need pytest."""
