"""What every implementation of an interface promises, as suites of tests.

A suite is a class, whose tests take the fixture ``subject``: what is registered under the name.
The command line gives it, or a test module that imports the suite:

    from nanoaccel.testing.contracts.drafter import TestDrafter  # noqa: F401

    @pytest.fixture(scope="module")
    def subject():
        return Mine
"""
