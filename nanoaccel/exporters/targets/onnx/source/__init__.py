"""The OpenVINO graph as it is read: nodes, values, sizes over tokens, trials of its parts."""
