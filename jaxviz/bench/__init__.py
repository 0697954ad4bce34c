"""The accelerator benchmark: measures steps, describes results, compares them."""
