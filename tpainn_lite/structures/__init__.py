"""What an ``Atoms`` is and where it comes from: checks, geometry, building, choosing, files, the shipped sets."""
