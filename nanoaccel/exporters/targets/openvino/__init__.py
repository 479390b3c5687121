"""From a torch model to an OpenVINO graph: trace, compress, pass by pass."""
