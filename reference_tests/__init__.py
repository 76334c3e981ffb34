"""The tests of npblender: a package, so that they import each other as `reference_tests.support.asserts`."""
