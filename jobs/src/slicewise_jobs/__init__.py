"""Jobs of Slicewise: requests that may wait."""
