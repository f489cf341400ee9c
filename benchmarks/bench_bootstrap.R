# The worker for lme4's bootMer; its first argument says how many replicates. The model is fitted at the
# first call, the warm-up, and kept.

source("benchmarks/worker.R")

n <- as.integer(commandArgs(trailingOnly = TRUE)[1])
model_fit <- NULL

serve(list(
  packages = c("lme4", "Matrix"),
  fit = function(model, frame, reml) {
    if (is.null(model_fit)) model_fit <<- lmer(model, frame, REML = reml)
    statistic <- function(fit) c(fixef(fit), getME(fit, "theta"), sigma(fit))
    found <- bootMer(model_fit, statistic, nsim = n, seed = 1)
    stopifnot(nrow(found$t) == n)
    model_fit
  },
  read = function(fit, reml) {
    list(criterion = if (reml) REMLcrit(fit) else -2 * as.numeric(logLik(fit)), beta = fixef(fit), theta = getME(fit, "theta"))
  }
))
