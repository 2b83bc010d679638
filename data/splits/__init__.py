"""Who is in which split: drawn once by whole patients, audited for leaks, written down, reviewed."""
