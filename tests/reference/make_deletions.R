# Writes deletions.json: the fixed effects of sleepstudy (Days | Subject), ML, without each row in turn, at a tightened
# optimum. lme4's own influence() stops each refit at lmer's default rule.
#   Rscript make_deletions.R
suppressMessages({library(lme4); library(jsonlite)})
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5), calc.derivs = FALSE)
fixed <- t(sapply(seq_len(nrow(sleepstudy)), function(i)
  fixef(lmer(Reaction ~ Days + (Days | Subject), sleepstudy[-i, ], REML = FALSE, control = tight))))
full <- fixef(lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE, control = tight))
out <- list(versions = list(R = R.version.string, lme4 = as.character(packageVersion("lme4"))),
            names = names(full), fixef = unname(full), without = unname(fixed))
writeLines(toJSON(out, digits = NA, auto_unbox = TRUE), "deletions.json")
