"""What becomes the graph of the artefact; imported only in a process that runs TensorFlow."""
