"""Several machines, by Ray: the only place that imports it.

routing/     which engine a request goes to: policy alone, without Ray
serve/       the server's API as an application of Ray Serve
batch/       batch files as a stage of Ray Data
"""
