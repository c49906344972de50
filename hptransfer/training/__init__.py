"""What trains: the trainers, the engine that runs a pack as one program, optimizers, what a trial costs."""
