"""Tests of the room `explanation`: how a reply came about, as data and as a page."""
