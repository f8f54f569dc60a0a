"""Molecular dynamics with a trained potential inside a web page, without a kernel."""
