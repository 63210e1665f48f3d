"""How a model is made: rebalancing, networks, the training loop, checkpoints, export."""
