"""Words of tables that people fill: what they may call a split, and what stands for a value that was lost."""

LOST = {"na", "n/a", "#n/a", "<na>", "nan", "null", "none", "unknown"}
SPLITS = {
    "": "",
    "train": "train",
    "labelled": "labelled",
    "labeled": "labelled",
    "pool": "pool",
    "unlabelled": "pool",
    "unlabeled": "pool",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
