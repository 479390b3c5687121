"""From an exported OpenVINO graph to an ONNX graph with the same numbers.

    source       the OpenVINO graph: its nodes, sizes over tokens, trials of its parts
    patterns     parts that become one operator, known by what they compute
    operations   all other operators, one by one
    translate    puts them together

Nothing is calibrated here: codes, scales and zero points are those of the OpenVINO graph.
"""
