"""What a batch is and what the loss is; the data that batches come from; the models that ship."""
