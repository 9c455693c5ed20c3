"""Search inside the artefact, with stock ops; imported only in a process that runs TensorFlow."""
