"""Words that a review's file and its readers share."""

FILE = "labels.parquet"
ROLE = "review_"  # what the role of a review begins with among the inputs of a step
