"""What ``nanoaccel tune`` finds for a bundle on this machine: searched, kept, used at load."""
