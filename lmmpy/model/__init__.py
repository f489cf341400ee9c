"""`lmer`, `lformula` and the fit."""
