"""The smallest training that is still a training."""

TINY = {"backbone": "test_resnet", "steps": 6, "evaluate_every": 2, "batch_size": 8, "noise": "strong"}
