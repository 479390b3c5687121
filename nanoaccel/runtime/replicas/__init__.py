"""Several engines behind one face, each in a process of its own.

A process of an engine must be bound before it imports anything big: this file imports nothing.
"""
