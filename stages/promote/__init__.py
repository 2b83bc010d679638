"""Promote: the student becomes the next teacher, unless validation says it is worse."""
