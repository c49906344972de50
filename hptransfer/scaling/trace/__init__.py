"""What a forward pass tells of a model: which matrix makes the queries of attention, which ones write to the stream."""
