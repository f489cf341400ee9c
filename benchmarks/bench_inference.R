# The worker for R's answers to what is asked of a fit (lme4, pbkrtest); its first argument says what.

source("benchmarks/worker.R")

n <- 1000
what <- commandArgs(trailingOnly = TRUE)[1]
model_fit <- NULL

calls <- list(
  `kenward-roger` = function(fit) {
    plain <- vcov(fit)
    adjusted <- pbkrtest::vcovAdj(fit)
    se <- sqrt(diag(as.matrix(adjusted)))
    one <- diag(length(se))
    df <- vapply(seq_along(se), function(i) pbkrtest::Lb_ddf(one[i, ], plain, adjusted), 0)
    list(se = I(unname(se)), df = I(df), p = I(unname(2 * pt(-abs(fixef(fit) / se), df))))
  },
  profile = function(fit) confint(profile(fit, signames = FALSE)),
  bootstrap = function(fit) {
    statistic <- function(m) {
      spread <- VarCorr(m)
      c(fixef(m), unlist(lapply(spread, attr, "stddev")), unlist(lapply(spread, function(v) {
        correlation <- attr(v, "correlation")
        correlation[lower.tri(correlation)]
      })), sigma(m))
    }
    found <- bootMer(fit, statistic, nsim = n, seed = 1)
    stopifnot(nrow(found$t) == n)
    found
  }
)
# what lmmpy should agree with; of random numbers nothing
readings <- list(
  `kenward-roger` = identity,
  profile = function(limits) {
    # lme4 goes down the columns of the lower triangle: sd, correlation, sd; lmmpy has the standard deviations first
    order <- c(grep("^sd_", rownames(limits)), grep("^cor_", rownames(limits)))
    list(limits = unname(rbind(limits[order, ], limits[-order, ])))
  },
  bootstrap = function(found) NULL
)

serve(list(
  packages = c("lme4", "Matrix", if (what == "kenward-roger") "pbkrtest"),
  prepare = function(model, frame, reml) model_fit <<- lmer(model, frame, REML = reml),
  fit = function(model, frame, reml) calls[[what]](model_fit),
  read = function(found, reml) {
    list(
      criterion = if (reml) REMLcrit(model_fit) else -2 * as.numeric(logLik(model_fit)),
      beta = fixef(model_fit),
      theta = getME(model_fit, "theta"),
      varcomp = readings[[what]](found)
    )
  }
))
