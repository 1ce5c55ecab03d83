"""StarDist: star-convex polygons from its own library, in an environment of its own."""
