"""Networks, where their first weights come from, and what is written down of a finished one."""
