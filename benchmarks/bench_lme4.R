# The worker for R's lme4.

source("benchmarks/worker.R")

serve(list(
  packages = c("lme4", "Matrix"),
  fit = function(model, frame, reml) lmer(model, frame, REML = reml),
  read = function(fit, reml) {
    list(
      criterion = if (reml) REMLcrit(fit) else -2 * as.numeric(logLik(fit)),
      beta = fixef(fit),
      theta = getME(fit, "theta")
    )
  }
))
