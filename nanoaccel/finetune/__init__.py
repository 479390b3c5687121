"""Training: adapters and whole models on a user's data, and drafts for speculation.

data ──> train ──> adapters (PEFT's files), or a whole model ──> report
         run.py goes from one to the next; merge.py puts adapters into a model's weights.
drafts   heads and small models that guess for a target
"""
