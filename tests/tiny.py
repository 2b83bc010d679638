"""The smallest training that is still a training, and the smallest chain."""

TINY = {"backbone": "test_resnet", "steps": 6, "evaluate_every": 2, "batch_size": 8, "noise": "strong"}

CHAIN = """
rounds: 2
data: {size_px: 24, sources: [{kind: synthetic, patients: 10, patches_per_patient: 30, size_px: 24}]}
splits: {validation: 0.2, test: 0.2, labels: {count: 4}}
teacher: {backbone: test_resnet, steps: 6, evaluate_every: 2, batch_size: 8}
predict: {batch_size: 32, shard_batches: 2}
select: {rule: top_k, k: 10, k_step: 5}
student: {backbone: test_resnet, steps: 6, evaluate_every: 2, batch_size: 8, unlabeled_ratio: 1}
promote: {tolerance: 1.0}
"""

# what makes a shipped configuration small enough for a test
SHRINK = [
    "rounds=2",
    "teacher.steps=2",
    "student.steps=2",
    "teacher.batch_size=4",
    "student.batch_size=2",
    "promote.tolerance=1.0",
]
