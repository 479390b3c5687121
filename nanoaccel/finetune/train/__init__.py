"""Training itself: passes, loss, precision, checkpoints, and the loop over them.

options     what a user may choose            batches      which examples are computed together
attention   packed texts do not see another   head, loss   the loss over the vocabulary in chunks
weights     what is trained, in f32           checkpoint   what a stopped run goes on from
judging     validation loss, sample answers   loop         step by step
"""
