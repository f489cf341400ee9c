# The worker for R's lme4qtl, in its quickest setting: a Cholesky factor of the relatedness, and no derivatives at the
# end. (By itself it looks for duplicated columns first, and then does the same.)

source("benchmarks/worker.R")

relatedness <- NULL

serve(list(
  packages = c("lme4qtl", "lme4", "Matrix"),
  load = function(job, frame) relatedness <<- setNames(list(load_relatedness(job, frame)), job$relatives$group),
  fit = function(model, frame, reml) {
    # it evaluates its arguments where it is called, by name
    relmatLmer(model, frame, REML = reml, relmat = relatedness, method.relfac = "chol", calc.derivs = FALSE)
  },
  read = function(fit, reml) {
    parts <- as.data.frame(lme4::VarCorr(fit))
    list(
      criterion = if (reml) lme4::REMLcrit(fit) else -2 * as.numeric(logLik(fit)),
      beta = lme4::fixef(fit),
      theta = lme4::getME(fit, "theta"),
      varcomp = setNames(as.list(parts$vcov), parts$grp)
    )
  }
))
