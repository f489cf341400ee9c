"""How often intervals cover and tests reject when the model that is fitted is the true one."""
