"""The workstation's side: a model comes in, a bundle goes out."""
