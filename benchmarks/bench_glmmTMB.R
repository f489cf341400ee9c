# The worker for R's glmmTMB. Its covariances are told as matrices: its own parameters are not lme4's theta.

source("benchmarks/worker.R")

serve(list(
  packages = c("glmmTMB", "TMB"),
  fit = function(model, frame, reml) glmmTMB(model, frame, REML = reml),
  read = function(fit, reml) {
    covariances <- lapply(VarCorr(fit)$cond, function(block) unname(matrix(block, nrow(block))))
    list(
      criterion = -2 * as.numeric(logLik(fit)),
      beta = fixef(fit)$cond,
      varcomp = list(covariance = covariances, residual = sigma(fit)^2)
    )
  }
))
