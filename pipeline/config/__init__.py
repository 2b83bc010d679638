"""The configuration of a chain: one YAML file, read strictly, checked across its sections."""
