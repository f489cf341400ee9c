# The worker for R's nlme; its first argument says which model (`CALLS`), which lmmpy's worker has under the same name.
# nlme computes the covariance of the variance parameters within the timed call, as it does by itself.

source("benchmarks/worker.R")

standard_deviations <- function(fit) attr(corMatrix(fit$modelStruct$reStruct)[[1]], "stdDev") * fit$sigma
correlation <- function(fit) unname(coef(fit$modelStruct$corStruct, unconstrained = FALSE))

CALLS <- list(
  "ovary-ar1" = list(
    fit = function(frame, method) {
      lme(follicles ~ s + c, frame, list(Mare = pdDiag(~s)), correlation = corAR1(form = ~ k | Mare), method = method)
    },
    tell = function(fit) list(random = unname(standard_deviations(fit)), correlation = I(correlation(fit)))
  ),
  "orthodont-us" = list(
    fit = function(frame, method) {
      gls(
        distance ~ age * Sex, frame, correlation = corSymm(form = ~ occasion | Subject),
        weights = varIdent(form = ~ 1 | age), method = method
      )
    },
    tell = function(fit) {
      ratio <- coef(fit$modelStruct$varStruct, unconstrained = FALSE, allCoef = TRUE)
      list(correlation = correlation(fit), sigma = unname(fit$sigma * ratio[c("8", "10", "12", "14")]))
    }
  ),
  "slopes-car1" = list(
    fit = function(frame, method) {
      lme(y ~ x + t, frame, ~ t | g, correlation = corCAR1(form = ~ t | g), method = method)
    },
    tell = function(fit) {
      together <- corMatrix(fit$modelStruct$reStruct)[[1]][2, 1]
      list(random = unname(c(standard_deviations(fit), together)), correlation = I(correlation(fit)))
    }
  )
)

call <- CALLS[[commandArgs(trailingOnly = TRUE)[1]]]

serve(list(
  packages = "nlme",
  fit = function(model, frame, reml) call$fit(frame, if (reml) "REML" else "ML"),
  read = function(fit, reml) {
    told <- call$tell(fit)
    if (is.null(told$sigma)) told$sigma <- I(fit$sigma)
    beta <- if (inherits(fit, "lme")) fixef(fit) else coef(fit)
    told$beta <- unname(beta)
    told$se <- unname(sqrt(diag(vcov(fit))))
    list(criterion = -2 * as.numeric(logLik(fit)), beta = beta, varcomp = list(compared = told))
  }
))
