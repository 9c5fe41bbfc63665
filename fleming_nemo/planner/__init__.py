"""Memory, time and communication of a run before it is started; knows nothing of torch."""
