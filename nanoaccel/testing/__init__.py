"""What the project tests itself with, for the tests of plugins.

``pytest --nanoaccel-contract drafter my_package:Mine`` runs the contract suite of a kind of plugin
over one; see ``docs/how-to/plugins.md``. Nothing here is imported by a program that runs models.

    contracts/       the suites: drafter, eviction_policy, logits_processor, backend
    engines          Bench: an engine on the fake backend, driven step by step, and its letters
    checked_cache    CheckedCache: a cache whose every block is checked after each step
    drafters         drafters whose guesses a test chooses
    sequences        sequences of tokens in the cache of any backend, run in pieces
    schedules        random schedules of requests, and the one text that all of them must give
    tiny_models      tiny random models and bundles of them (needs the extra "export")
    plugin           the plugin of pytest
"""
