"""A real chain, so small that a round of it takes a second: what is killed, struck and timed by the hundred."""

CONFIG = """
data: {size_px: 16, sources: [{kind: synthetic, patients: 6, patches_per_patient: 8, size_px: 16}]}
splits: {validation: 0.2, test: 0.2, labels: {count: 2}}
teacher: {backbone: test_resnet, steps: 3, evaluate_every: 2, batch_size: 4, noise: none}
predict: {batch_size: 8, shard_batches: 2}
select: {rule: top_k, k: 4, k_step: 2}
student: {backbone: test_resnet, steps: 3, evaluate_every: 2, batch_size: 4, unlabeled_ratio: 1}
promote: {tolerance: 1.0}
"""
