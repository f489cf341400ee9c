# Writes refit.json: what lme4 answers for simulated responses of five models.
#
#   Rscript tests/reference/make_refit.R
#
# Needs lme4 and jsonlite. Made with R 4.2.2, lme4 1.1-31.
#
# Of each model three responses are drawn from the fit itself and three without any random effect, so that many of these
# end on the boundary. They are rounded to eight digits before they are used. Each is fitted anew by `lmer` (brought to
# its optimum by optimum.R) and by `lme4::refit`, with bobyqa and a tight stopping rule (`refit`).
#
# The two disagree for REML with p != 1 fixed effects: refit of lme4 1.1-31 hands the response module REML = TRUE where
# lmer hands it p, so that it takes n - 1 for the degrees of freedom. Then `lmer` is right.
suppressMessages({library(lme4); library(jsonlite)})

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
room <- dirname(normalizePath(script))
source(file.path(room, "optimum.R"))

TIGHT <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE, optCtrl = list(rhoend = 1e-10, maxfun = 20000))

models <- list(
  sleepstudy = list(data = "sleepstudy", formula = "Reaction ~ Days + (Days | Subject)", REML = TRUE, weights = NULL),
  sleepstudy_ml = list(data = "sleepstudy", formula = "Reaction ~ Days + (Days | Subject)", REML = FALSE,
                       weights = NULL),
  penicillin = list(data = "Penicillin", formula = "diameter ~ 1 + (1 | plate) + (1 | sample)", REML = TRUE,
                    weights = NULL),
  nested = list(data = "Pastes", formula = "strength ~ 1 + (1 | batch/cask)", REML = TRUE, weights = NULL),
  weighted = list(data = "sleepstudy", formula = "Reaction ~ Days + (1 | Subject)", REML = TRUE,
                  weights = "1 / (1 + Days)"))

call_of <- function(case, frame) {
  call <- bquote(lmer(.(as.formula(case$formula)), data = .(as.name(frame)), REML = .(case$REML)))
  if (!is.null(case$weights)) call$weights <- str2lang(case$weights)
  call
}

responses_of <- function(m) {
  set.seed(20)
  full <- as.list(simulate(m, nsim = 3))
  noise <- lapply(1:3, function(i) predict(m, re.form = NA) + rnorm(nobs(m)) * sigma(m) / sqrt(weights(m)))
  unname(lapply(c(full, noise), function(y) signif(unname(y), 8)))
}

criterion <- function(m) if (isREML(m)) unname(REMLcrit(m)) else unname(deviance(m))

numbers <- function(m) {
  list(theta = I(unname(getME(m, "theta"))), criterion = criterion(m), fixef = I(unname(fixef(m))), sigma = sigma(m),
       singular = isSingular(m))
}

answer <- function(case, m, y) {
  renewed <<- get(case$data)
  renewed[[all.vars(as.formula(case$formula))[1]]] <<- y
  call <- call_of(case, "renewed")
  anew <- tightened(call, getME(quietly(eval(call, globalenv())), "theta"))
  c(list(y = I(y)), numbers(anew$model), list(refit = numbers(quietly(refit(m, y, control = TIGHT)))))
}

found <- lapply(models, function(case) {
  m <- quietly(eval(call_of(case, case$data), globalenv()))
  c(case, list(refits = lapply(responses_of(m), function(y) answer(case, m, y))))
})
writeLines(toJSON(found, digits = NA, auto_unbox = TRUE, null = "null", pretty = FALSE), file.path(room, "refit.json"))
