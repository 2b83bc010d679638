"""How good labels, confidences and models are, and how sure that is: pure functions of arrays."""
